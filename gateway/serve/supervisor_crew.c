/* The processes of the supervisor: forked, told, reaped, forked again. */
#include "base/clock.h"
#include "serve/sandbox.h"
#include "serve/supervisor_internal.h"
#include "serve/worker.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIVED_MS = 1000, /* one that lived less is not forked again at once */
    PAUSE_LEAST_MS = 100,
    PAUSE_MOST_MS = 10 * 1000,
    WAKEUPS = 4, /* of a worker's loop in the time of the watchdog */
};

struct member *crew_first(struct supervisor *s)
{
    return list_empty(&s->crew) ? NULL : CONTAINER_OF(s->crew.next, struct member, link);
}

struct member *crew_next(struct supervisor *s, struct member *member)
{
    return member->link.next == &s->crew ? NULL : CONTAINER_OF(member->link.next, struct member, link);
}

size_t crew_workers(struct supervisor *s)
{
    size_t count = 0;
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        count += !m->is_admin;
    }
    return count;
}

/* ---- Telling. */

void crew_kill_stuck(struct supervisor *s, const struct member *member)
{
    struct log_line line;
    log_begin(&line, supervisor_log(s), LOG_ERROR, "worker_stuck");
    log_u64(&line, "pid", (uint64_t)member->pid);
    log_end(&line);
    (void)kill(member->pid, SIGKILL);
}

void crew_tell(struct supervisor *s, struct member *member, const struct control_message *message, int fd)
{
    if (member->control < 0 || control_send(member->control, message, fd)) {
        return;
    }
    if (errno == EPIPE || errno == ECONNRESET) { /* it is about to be reaped, or will see that it is alone */
        close(member->control);
        member->control = -1;
        return;
    }
    crew_kill_stuck(s, member); /* it would go on without what it was to be told */
}

void crew_tell_workers(struct supervisor *s, enum control_kind kind)
{
    struct control_message message = {.kind = kind};
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (!m->is_admin) {
            crew_tell(s, m, &message, -1);
        }
    }
}

void crew_kill(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        (void)kill(m->pid, SIGKILL);
    }
}

/* ---- Forking. */

static void forget_generation(struct generation *generation, const struct generation *kept)
{
    if (generation != NULL && generation != kept) {
        log_forked(&generation->log);
        log_fini(&generation->log);
        generation_forget_keys(generation);
    }
}

void crew_forget(struct supervisor *s, struct generation *kept)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (m->control >= 0) {
            close(m->control);
        }
    }
    forget_generation(s->now, kept);
    forget_generation(s->next, kept);
    notify_fini(&s->notify);
    close(s->signals);
    close(s->board.fd);
    if (s->text_fd >= 0) {
        close(s->text_fd);
    }
}

_Noreturn static void be_worker(
    struct supervisor *s, struct generation *g, struct worker_seat seat, int supervisors_end)
{
    char why[PRIVILEGES_WHY_MAX];
    close(supervisors_end);
    (void)prctl(PR_SET_NAME, "sluice worker");
    crew_forget(s, g);
    sockets_close_others(&s->sockets, g->entries, g->rules->listen_count, seat.share);
    if (!privileges_drop(&g->identity, why) || !sandbox_enter(SANDBOX_WORKER, g->rules, why)) {
        struct log_line line;
        log_begin(&line, &g->log, LOG_ERROR, "cannot_run");
        log_cstr(&line, "reason", why);
        log_end(&line);
        exit(EXIT_CANNOT_RUN);
    }
    exit(worker_run(g, seat));
}

struct member *crew_member_new(struct supervisor *s, struct generation *generation)
{
    struct member *member = calloc(1, sizeof *member);
    if (member != NULL) {
        member->of = generation;
        member->generation = generation->number;
        member->born_ms = s->now_ms;
        member->control = -1;
        list_init(&member->link);
    }
    return member;
}

static void describe_slot(struct supervisor *s, const struct member *member)
{
    struct board_slot *slot = &s->board.head->slots[member->slot];
    atomic_store(&slot->generation, member->generation);
    atomic_store(&slot->index, member->index);
    atomic_store(&slot->pid, member->pid);
}

static bool fork_into(struct supervisor *s, struct member *member, const char **why)
{
    struct generation *g = member->of;
    int ends[2];
    *why = "out of descriptors";
    if (!control_pair(ends)) {
        return false;
    }
    struct worker_seat seat = {
        .board = &s->board,
        .slot = member->slot,
        .share = {.index = member->index, .workers = g->workers, .committed = g->committed},
        .control = ends[1],
        .wakeup_ms = s->notify.watchdog_ms / WAKEUPS,
    };
    member->pid = fork();
    if (member->pid == 0) {
        be_worker(s, g, seat, ends[0]);
    }
    close(ends[1]);
    if (member->pid < 0) {
        close(ends[0]);
        *why = strerror(errno);
        return false;
    }
    member->control = ends[0];
    return true;
}

bool crew_fork_worker(struct supervisor *s, struct generation *generation, unsigned index, const char **why)
{
    struct member *member = crew_member_new(s, generation);
    *why = "out of memory";
    if (member == NULL) {
        return false;
    }
    int slot = board_take_slot(&s->board);
    if (slot < 0) {
        free(member);
        *why = "there are as many workers as there may be: those of old configurations still have sessions";
        return false;
    }
    member->slot = (unsigned)slot;
    member->index = index;
    if (!fork_into(s, member, why)) {
        board_fold_slot(&s->board, member->slot);
        free(member);
        return false;
    }
    describe_slot(s, member);
    list_push_back(&s->crew, &member->link);
    crew_link_admin(s, member);
    return true;
}

void crew_postpone(struct supervisor *s, struct seat *seat)
{
    uint64_t pause_ms = seat->pause_ms > 0 ? seat->pause_ms * 2 : PAUSE_LEAST_MS;
    seat->pause_ms = pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS;
    seat->due_ms = s->now_ms + seat->pause_ms;
}

void crew_fork_due(struct supervisor *s)
{
    for (unsigned i = 0; s->now != NULL && s->stage == STAGE_SERVING && i < s->now->workers; i++) {
        const char *why;
        if (s->seats[i].due_ms > s->now_ms) {
            continue;
        }
        s->seats[i].due_ms = CLOCK_NEVER;
        if (!crew_fork_worker(s, s->now, i, &why)) {
            struct log_line line;
            log_begin(&line, supervisor_log(s), LOG_ERROR, "worker_not_started");
            log_cstr(&line, "reason", why);
            log_end(&line);
            crew_postpone(s, &s->seats[i]);
        }
    }
}

uint64_t crew_due_ms(const struct supervisor *s)
{
    uint64_t due_ms = s->stage == STAGE_SERVING ? s->admin_seat.due_ms : CLOCK_NEVER;
    for (unsigned i = 0; s->now != NULL && s->stage == STAGE_SERVING && i < s->now->workers; i++) {
        due_ms = s->seats[i].due_ms < due_ms ? s->seats[i].due_ms : due_ms;
    }
    return due_ms;
}

/* ---- Reaping. */

static void log_death(struct supervisor *s, const struct member *member, int status)
{
    struct log_line line;
    log_begin(&line, supervisor_log(s), LOG_ERROR, member->is_admin ? "admin_died" : "worker_died");
    log_u64(&line, "pid", (uint64_t)member->pid);
    if (!member->is_admin) {
        log_u64(&line, "index", member->index);
    }
    log_u64(&line, "generation", member->generation);
    if (WIFSIGNALED(status)) {
        log_u64(&line, "signal", (uint64_t)WTERMSIG(status));
    } else {
        log_u64(&line, "status", (uint64_t)WEXITSTATUS(status));
    }
    if (!member->is_admin) {
        log_u64(
            &line, "sessions", tally_read(&s->board.tallies[member->slot].sessions)); /* they ended with it */
    }
    log_end(&line);
}

static void member_free(struct member *member)
{
    if (member->control >= 0) {
        close(member->control);
    }
    list_remove(&member->link);
    free(member->log_file);
    free(member);
}

static void take_seat_again(struct supervisor *s, struct seat *seat, const struct member *member)
{
    if (s->now_ms - member->born_ms < LIVED_MS) {
        crew_postpone(s, seat);
    } else {
        *seat = (struct seat){.due_ms = s->now_ms};
    }
}

static bool was_to_end(const struct supervisor *s, const struct member *member, int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
           (member->of == NULL || s->stage >= STAGE_DRAINING);
}

static void worker_ended(struct supervisor *s, struct member *member, int status)
{
    struct generation *of = member->of;
    bool died = !was_to_end(s, member, status);
    if (died) {
        log_death(s, member, status);
    }
    if (member->ready && of != NULL && of == s->now) {
        atomic_fetch_sub(&s->board.head->workers, 1);
    }
    board_fold_slot(&s->board, member->slot);
    if (died) { /* who sees the death finds its sessions gone */
        atomic_fetch_add(&s->board.head->worker_deaths, 1);
    }
    if (of != NULL && of == s->now && s->stage == STAGE_SERVING) {
        take_seat_again(s, &s->seats[member->index], member);
    }
    member_free(member);
    if (of != NULL && of == s->next && s->stage < STAGE_DRAINING) {
        reload_failed(s, "a worker of the new configuration ended before it was ready");
    }
}

static void admin_ended(struct supervisor *s, struct member *member, int status)
{
    bool wanted = member->of != NULL && s->stage == STAGE_SERVING;
    if (!was_to_end(s, member, status)) {
        log_death(s, member, status);
    }
    if (wanted) {
        take_seat_again(s, &s->admin_seat, member);
    }
    member_free(member);
}

void crew_reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
            if (m->pid == pid) {
                m->is_admin ? admin_ended(s, m, status) : worker_ended(s, m, status);
                break;
            }
        }
    }
}
