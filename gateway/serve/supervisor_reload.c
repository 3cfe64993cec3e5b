/* From one configuration to the next: all of it is opened, its workers are there, and only then the old one
 * stops accepting. Whatever fails before leaves the old one as it was. */
#include "base/clock.h"
#include "rules/load.h"
#include "serve/check.h"
#include "serve/supervisor_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MAX = (1 << 20) + 1 }; /* the loader refuses what is longer than it should be */

static void log_fault(struct supervisor *s, const char *fault)
{
    struct log_line line;
    log_begin(&line, supervisor_log(s), LOG_ERROR, "reload_failed");
    log_cstr(&line, "fault", fault);
    log_end(&line);
}

/* There is no old configuration to stay with. */
static void log_start_fault(struct supervisor *s, const char *fault)
{
    struct log_line line;
    log_begin(&line, supervisor_log(s), LOG_ERROR, "cannot_run");
    log_cstr(&line, "reason", fault);
    log_end(&line);
}

static void forget_text(struct supervisor *s)
{
    if (s->text_fd >= 0) {
        close(s->text_fd);
        s->text_fd = -1;
    }
}

/* The end of an attempt, either way. */
static void finish(struct supervisor *s)
{
    forget_text(s);
    if (s->stage >= STAGE_DRAINING) {
        return; /* that is what the service manager has been told */
    }
    notify_say(&s->notify, "READY=1\nSTATUS=%u workers, configuration %u", s->now->workers, s->now->number);
    if (s->again) {
        reload_asked(s);
    }
}

static void count_failure(struct supervisor *s)
{
    atomic_fetch_add(&s->board.head->reloads_failed, 1);
    finish(s);
}

/* ---- The configuration's text: read once, so that the rules and what is revoked by them are the same. */

static bool read_text(int from, char *text, size_t *len)
{
    *len = 0;
    while (*len < TEXT_MAX) {
        ssize_t n = read(from, text + *len, TEXT_MAX - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            return true;
        }
        *len += (size_t)n;
    }
    return true;
}

static int keep_text(const char *text, size_t len)
{
    int fd = memfd_create("sluice-rules", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;
    while (fd >= 0 && done < len) {
        ssize_t n = write(fd, text + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    if (fd >= 0) {
        (void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    }
    return fd;
}

static struct rules *load(struct supervisor *s, struct faults *faults)
{
    int file = open(s->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = malloc(TEXT_MAX);
    size_t len = 0;
    struct rules *rules;
    if (file >= 0 && text != NULL && read_text(file, text, &len)) {
        rules = rules_load_text(text, len, s->file, faults);
        s->text_fd = rules != NULL && rules->revoke ? keep_text(text, len) : -1;
        if (rules != NULL && rules->revoke && s->text_fd < 0) {
            faults_error(faults, (struct place){0, 0}, "", "no memory is left");
            rules_free(rules);
            rules = NULL;
        }
    } else {
        rules = rules_load_file(s->file, faults); /* which says what is wrong with it */
    }
    if (file >= 0) {
        close(file);
    }
    free(text);
    return rules;
}

static void log_faults(struct supervisor *s, const struct faults *faults)
{
    char text[GENERATION_WHY_MAX];
    for (size_t i = 0; i < faults->count; i++) {
        if (!faults->items[i].warning) {
            faults_line(&faults->items[i], s->file, text, sizeof text);
            log_fault(s, text);
        }
    }
    if (faults->lost) {
        log_fault(s, "there are more faults than memory to tell them");
    }
}

/* ---- An attempt. */

/* Workers of a configuration that will not serve after all: they may have taken connections, which they keep.
 */
static void retire(struct supervisor *s, const struct generation *generation)
{
    struct control_message message = {.kind = CONTROL_RETIRE};
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (!m->is_admin && m->of == generation) {
            const char *log_file = generation->rules->log_file;
            m->of = NULL;
            m->leaving = true;
            m->log_file = log_file != NULL ? strdup(log_file) : NULL; /* no memory: USR1 passes it over */
            atomic_store(&s->board.head->slots[m->slot].retired, true);
            crew_tell(s, m, &message, -1);
        }
    }
}

void reload_kill_unready(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (!m->is_admin && m->of == s->next && !m->ready) {
            crew_kill_stuck(s, m);
        }
    }
}

void reload_failed(struct supervisor *s, const char *why)
{
    struct generation *failed = s->next;
    if (s->stage == STAGE_STARTING) {
        log_start_fault(s, why);
        supervisor_fail(s, EXIT_CANNOT_RUN);
        return;
    }
    s->next = NULL;
    s->ready_due_ms = CLOCK_NEVER;
    log_fault(s, why);
    if (failed != NULL) {
        retire(s, failed);
        generation_free(failed);
    }
    count_failure(s);
}

static uint64_t longest_close_ms(const struct rules *rules, uint64_t longest_ms)
{
    longest_ms = rules->close_ms > longest_ms ? rules->close_ms : longest_ms;
    for (size_t i = 0; i < rules->route_count; i++) {
        uint64_t close_ms = rules->routes[i].timeouts.close_ms;
        longest_ms = close_ms > longest_ms ? close_ms : longest_ms;
    }
    return longest_ms;
}

bool reload_start(struct supervisor *s, struct generation *next)
{
    struct generation_fault fault;
    s->next = next;
    s->close_ms = longest_close_ms(next->rules, s->close_ms);
    s->ready_due_ms = s->now_ms + SUPERVISOR_READY_MS;
    if (!generation_begin(next, &fault)) {
        reload_failed(s, fault.text);
        return false;
    }
    for (unsigned i = 0; i < next->workers; i++) {
        const char *why;
        if (!crew_fork_worker(s, next, i, &why)) {
            reload_failed(s, why);
            return false;
        }
    }
    return true;
}

static void reload(struct supervisor *s)
{
    struct faults faults;
    struct generation_fault fault;
    faults_init(&faults);
    struct rules *rules = load(s, &faults);
    if (rules == NULL || !check_files_named(rules, &faults)) {
        log_faults(s, &faults);
        faults_fini(&faults);
        if (rules != NULL) {
            rules_free(rules);
        }
        count_failure(s);
        return;
    }
    faults_fini(&faults);
    struct generation *next = generation_open(rules, s->generations + 1, &s->board, &s->sockets, &fault);
    if (next == NULL) {
        log_fault(s, fault.text);
        count_failure(s);
        return;
    }
    s->generations++;
    (void)reload_start(s, next); /* if not, that has been told */
}

static void log_ignored(struct supervisor *s)
{
    struct log_line line;
    log_begin(&line, supervisor_log(s), LOG_WARNING, "reload_ignored");
    log_cstr(&line, "reason", "stopping");
    log_end(&line);
}

void reload_asked(struct supervisor *s)
{
    if (s->stage >= STAGE_DRAINING) {
        log_ignored(s);
        return;
    }
    if (s->stage != STAGE_SERVING || s->next != NULL || s->changing) {
        s->again = true; /* once, for all that come meanwhile */
        return;
    }
    s->again = false;
    if (s->file == NULL) {
        log_fault(s, "there is no configuration file: it was started with an address and a target");
        atomic_fetch_add(&s->board.head->reloads_failed, 1);
        return;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    notify_say(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
        (unsigned long long)now.tv_sec * 1000000ULL + (unsigned long long)now.tv_nsec / 1000ULL);
    reload(s);
}

/* ---- The change. */

static bool is_given_up(const struct socket_entry *entry, const struct generation *by)
{
    for (size_t i = 0; i < by->entry_count; i++) {
        if (by->entries[i] == entry) {
            return false;
        }
    }
    return true;
}

/* What waits at an address that nobody will listen on any more is the old workers' to take. */
static void retire_old(struct supervisor *s, const struct generation *old)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        for (size_t i = 0; !m->is_admin && m->of == old && i < old->rules->listen_count; i++) {
            struct control_message finish_one = {.kind = CONTROL_FINISH, .slot = (uint32_t)i};
            if (is_given_up(old->entries[i], s->now)) {
                crew_tell(s, m, &finish_one, -1);
            }
        }
    }
    retire(s, old);
}

static void revoke_sessions(struct supervisor *s)
{
    struct control_message message = {.kind = CONTROL_REVOKE};
    control_set_name(&message, s->file != NULL ? s->file : "");
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (!m->is_admin && m->of != s->now) {
            crew_tell(s, m, &message, s->text_fd);
        }
    }
}

static void take_seats(struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_SEATS; i++) {
        s->seats[i] = (struct seat){.due_ms = CLOCK_NEVER};
    }
}

/* From here on the new configuration takes every connection. */
static void complete(struct supervisor *s)
{
    struct log_line line;
    s->changing = false;
    s->leave_due_ms = CLOCK_NEVER;
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        m->leaving = false;
    }
    atomic_fetch_add(&s->board.head->reloads_ok, 1);
    atomic_store(&s->board.head->reloaded_s, (int64_t)(clock_wall_ms() / 1000));
    log_begin(&line, &s->now->log, LOG_INFO, "reloaded");
    log_u64(&line, "generation", s->now->number);
    log_u64(&line, "workers", s->now->workers);
    generation_log_listen(s->now, &line);
    log_end(&line);
    finish(s);
}

static void take_over(struct supervisor *s)
{
    struct generation *old = s->now;
    s->now = s->next;
    s->next = NULL;
    s->ready_due_ms = CLOCK_NEVER;
    generation_commit(s->now);
    take_seats(s);
    atomic_store(&s->board.head->generation, s->now->number);
    atomic_store(&s->board.head->workers, s->now->workers);
    crew_renew_admin(s, old);
    if (old == NULL) {
        s->stage = STAGE_SERVING;
        generation_log_ready(s->now);
        finish(s);
        return;
    }
    s->changing = true;
    s->leave_due_ms = s->now_ms + SUPERVISOR_LEAVE_MS;
    retire_old(s, old);
    if (s->text_fd >= 0) {
        revoke_sessions(s);
    }
    generation_free(old);
}

static bool is_left(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (m->leaving) {
            return s->leave_due_ms <= s->now_ms;
        }
    }
    return true;
}

void reload_progress(struct supervisor *s)
{
    size_t ready = 0;
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        ready += !m->is_admin && m->of == s->next && m->ready;
    }
    if (s->next != NULL && ready == s->next->workers && s->stage < STAGE_DRAINING) {
        take_over(s);
    }
    if (s->changing && is_left(s)) {
        complete(s);
    }
}
