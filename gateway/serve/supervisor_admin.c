/* The admin process: forked like a worker, without a slot, and with a pair to each worker. */
#include "base/clock.h"
#include "serve/admin.h"
#include "serve/sandbox.h"
#include "serve/supervisor_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct member *crew_admin(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (m->is_admin && m->of != NULL) {
            return m;
        }
    }
    return NULL;
}

/* If there is no pair to be had, the admin process names the worker among those that do not answer. */
void crew_link_admin(struct supervisor *s, struct member *worker)
{
    struct member *admin = crew_admin(s);
    int ends[2];
    if (admin == NULL || !control_pair(ends)) {
        return;
    }
    struct control_message to_worker = {.kind = CONTROL_ADMIN};
    struct control_message to_admin = {.kind = CONTROL_WORKER, .slot = worker->slot};
    crew_tell(s, worker, &to_worker, ends[0]);
    crew_tell(s, admin, &to_admin, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

_Noreturn static void be_admin(struct supervisor *s, struct generation *g, const int ends[2])
{
    struct socket_entry *entry = generation_admin(g);
    struct sockets_share share = {.index = 0, .workers = 1, .committed = g->committed};
    char why[PRIVILEGES_WHY_MAX];
    (void)prctl(PR_SET_NAME, "sluice admin");
    close(ends[0]);
    crew_forget(s, g);
    generation_forget_keys(g);
    sockets_close_others(&s->sockets, &entry, 1, share);
    log_forked(&g->log);
    if (!privileges_drop(&g->identity, why) || !sandbox_enter(SANDBOX_ADMIN, g->rules, why)) {
        struct log_line line;
        log_begin(&line, &g->log, LOG_ERROR, "cannot_run");
        log_cstr(&line, "reason", why);
        log_end(&line);
        exit(EXIT_CANNOT_RUN);
    }
    int status = admin_run(g->rules, &g->log, &s->board, entry->fds[0], ends[1]);
    (void)log_tell_lost(&g->log);
    exit(status);
}

static bool fork_admin(struct supervisor *s)
{
    struct member *admin = crew_member_new(s, s->now);
    int ends[2];
    if (admin == NULL || !control_pair(ends)) {
        free(admin);
        return false;
    }
    admin->is_admin = true;
    admin->pid = fork();
    if (admin->pid == 0) {
        be_admin(s, s->now, ends);
    }
    close(ends[1]);
    if (admin->pid < 0) {
        close(ends[0]);
        free(admin);
        return false;
    }
    admin->control = ends[0];
    list_push_back(&s->crew, &admin->link);
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (!m->is_admin) {
            crew_link_admin(s, m);
        }
    }
    struct control_message serve = {.kind = CONTROL_SERVE};
    crew_tell(s, admin, &serve, -1);
    return true;
}

void crew_fork_admin_due(struct supervisor *s)
{
    if (s->admin_seat.due_ms > s->now_ms || s->stage != STAGE_SERVING) {
        return;
    }
    s->admin_seat.due_ms = CLOCK_NEVER;
    if (!fork_admin(s)) {
        struct log_line line;
        log_begin(&line, supervisor_log(s), LOG_ERROR, "admin_not_started");
        log_end(&line);
        crew_postpone(s, &s->admin_seat);
    }
}

/* It sees its pair closed and ends. */
static void dismiss(struct member *admin)
{
    admin->of = NULL;
    if (admin->control >= 0) {
        close(admin->control);
        admin->control = -1;
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What the process was given with its fork. */
static bool is_same(const struct generation *old, const struct generation *new)
{
    const struct rules *a = old->rules, *b = new->rules;
    return generation_admin(old) == generation_admin(new) && a->admin.allow_count == b->admin.allow_count &&
           (a->admin.allow_count == 0 ||
               memcmp(a->admin.allow, b->admin.allow, a->admin.allow_count * sizeof *a->admin.allow) == 0) &&
           same_text(a->user, b->user) && a->sandbox == b->sandbox && same_text(a->log_file, b->log_file) &&
           a->log_output == b->log_output && a->log_level == b->log_level && a->log_format == b->log_format &&
           a->log_rate.count == b->log_rate.count && a->log_rate.per_ms == b->log_rate.per_ms;
}

void crew_renew_admin(struct supervisor *s, const struct generation *old)
{
    struct member *admin = crew_admin(s);
    if (admin != NULL && old != NULL && is_same(old, s->now)) {
        admin->of = s->now;
        return;
    }
    if (admin != NULL) {
        dismiss(admin);
    }
    s->admin_seat = (struct seat){.due_ms = generation_admin(s->now) != NULL ? s->now_ms : CLOCK_NEVER};
    crew_fork_admin_due(s);
}

void crew_end_admin(struct supervisor *s)
{
    struct member *admin = crew_admin(s);
    if (admin != NULL) {
        dismiss(admin);
    }
}
