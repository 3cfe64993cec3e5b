#include "base/clock.h"
#include "net/digest.h"
#include "serve/log_open.h"
#include "serve/sandbox.h"
#include "serve/supervisor_internal.h"
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct log *supervisor_log(struct supervisor *s)
{
    return s->now != NULL ? &s->now->log : &s->next->log;
}

/* ---- The end. */

static uint64_t sessions_now(const struct supervisor *s)
{
    struct board_totals totals;
    board_sum(&s->board, &totals);
    return totals.sessions;
}

/* Its end takes a session `timeouts.close` at most, and its target as long again: a worker that needs more
 * hangs. */
static void end_sessions(struct supervisor *s)
{
    s->stage = STAGE_ENDING;
    s->drain_due_ms = CLOCK_NEVER;
    s->kill_due_ms = s->now_ms + 2 * s->close_ms + SUPERVISOR_KILL_MS;
    crew_tell_workers(s, CONTROL_END);
}

void supervisor_drain(struct supervisor *s)
{
    const struct generation *g = s->now != NULL ? s->now : s->next;
    uint64_t drain_ms = g->rules->drain_ms;
    struct log_line line;
    s->stage = STAGE_DRAINING;
    s->ready_due_ms = CLOCK_NEVER;                /* workers that begin are told to end like all others */
    atomic_store(&s->board.head->draining, true); /* before anything is refused */
    notify_say(&s->notify, "STOPPING=1");
    log_begin(&line, supervisor_log(s), LOG_INFO, "stopping");
    log_u64(&line, "sessions", sessions_now(s));
    if (drain_ms != DURATION_OFF) {
        log_u64(&line, "drain_ms", drain_ms);
    }
    log_end(&line);
    crew_tell_workers(s, CONTROL_DRAIN);
    sockets_close(&s->sockets); /* the workers close theirs when they have taken what waits there */
    s->drain_due_ms = drain_ms != DURATION_OFF ? s->now_ms + drain_ms : CLOCK_NEVER;
    if (drain_ms == 0) {
        end_sessions(s);
    }
}

static void stop(struct supervisor *s)
{
    s->stage = STAGE_STOPPING;
    s->drain_due_ms = CLOCK_NEVER;
    s->kill_due_ms = s->now_ms + SUPERVISOR_KILL_MS;
    crew_tell_workers(s, CONTROL_STOP);
}

void supervisor_fail(struct supervisor *s, int status)
{
    s->status = status;
    stop(s);
}

/* ---- Signals. */

static int reopen_file(struct supervisor *s, const char *file)
{
    char why[LOG_OPEN_WHY_MAX];
    struct log_line line;
    int fd = log_open_again(file, why);
    if (fd < 0) {
        log_begin(&line, supervisor_log(s), LOG_ERROR, "log_not_reopened");
        log_cstr(&line, "reason", why);
        log_end(&line);
    }
    return fd;
}

static void hand_log(struct supervisor *s, struct member *member, const char *file, int fd)
{
    struct control_message message = {.kind = CONTROL_LOG};
    control_set_name(&message, file);
    crew_tell(s, member, &message, fd);
}

static void reopen_log_of(struct supervisor *s, struct generation *g)
{
    const char *file = g->rules->log_file;
    struct log_line line;
    int fd = file != NULL ? reopen_file(s, file) : -1;
    if (fd < 0) {
        return;
    }
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        if (m->of == g) {
            hand_log(s, m, file, fd);
        }
    }
    log_adopt_fd(&g->log, fd);
    log_begin(&line, &g->log, LOG_INFO, "log_reopened");
    log_end(&line);
}

/* Each by itself: the file of an old configuration may be another than that of the one in force. */
static void reopen_log_of_retired(struct supervisor *s, struct member *member)
{
    int fd = member->log_file != NULL ? reopen_file(s, member->log_file) : -1;
    if (fd >= 0) {
        hand_log(s, member, member->log_file, fd);
        close(fd);
    }
}

/* That of a configuration which is about to serve was opened before, too. */
static void reopen_logs(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        reopen_log_of_retired(s, m);
    }
    if (s->now != NULL) {
        reopen_log_of(s, s->now);
    }
    if (s->next != NULL) {
        reopen_log_of(s, s->next);
    }
}

static void obey_signal(struct supervisor *s, uint32_t number)
{
    switch (number) {
    case SIGHUP:
        reload_asked(s);
        break;
    case SIGUSR1:
        reopen_logs(s);
        break;
    case SIGCHLD:
        crew_reap(s);
        break;
    default: /* SIGTERM, SIGINT */
        if (s->stage < STAGE_DRAINING) {
            supervisor_drain(s);
        } else if (s->stage < STAGE_STOPPING) {
            stop(s);
        }
    }
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        obey_signal(s, info.ssi_signo);
    }
}

static bool watch_signals(struct supervisor *s)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&set, numbers[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    /* In the workers, too, which are told over their pairs what to do: a terminal's ^C and a service manager
     * signal them as well. */
    s->signals =
        sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
    return s->signals >= 0;
}

/* ---- What a worker says, and what is due. */

static void listen_to(struct supervisor *s, struct member *member)
{
    struct control_message message;
    int fd;
    for (int heard = 0; heard < SUPERVISOR_HEAR;
         heard++) { /* one that never stops keeps nobody else waiting */
        switch (control_receive(member->control, &message, &fd)) {
        case CONTROL_NOTHING:
            return;
        case CONTROL_CLOSED: /* its end is told by SIGCHLD */
            close(member->control);
            member->control = -1;
            return;
        case CONTROL_GOT:
            break;
        }
        if (fd >= 0) {
            close(fd);
        }
        if (message.kind == CONTROL_RETIRED) {
            member->leaving = false;
        }
        if (message.kind != CONTROL_READY || member->ready) {
            continue;
        }
        member->ready = true;
        if (!member->is_admin) {
            atomic_store(&s->board.head->slots[member->slot].ready, true);
        }
        if (!member->is_admin && member->of != NULL && member->of == s->now) {
            atomic_fetch_add(&s->board.head->workers, 1);
        }
    }
}

/* The watchdog of the service manager would end every session for the sake of one worker's: it looks after
 * this process, and this one after the workers. One that has not begun yet may take longer. Seen twice: a
 * machine that stood still shows all of them late. */
static void kill_stuck(struct supervisor *s)
{
    for (struct member *m = crew_first(s); m != NULL; m = crew_next(s, m)) {
        uint64_t most_ms = s->notify.watchdog_ms;
        if (!m->ready && most_ms < SUPERVISOR_READY_MS) {
            most_ms = SUPERVISOR_READY_MS;
        }
        uint64_t turned_ms = atomic_load(&s->board.head->slots[m->slot].turned_ms);
        bool late = !m->is_admin && turned_ms + most_ms < s->now_ms;
        if (late && m->suspect) {
            crew_kill_stuck(s, m);
        }
        m->suspect = late;
    }
}

static void tell_manager(struct supervisor *s)
{
    if (s->watchdog_due_ms <= s->now_ms) {
        s->watchdog_due_ms = s->now_ms + s->notify.watchdog_ms / 2;
        kill_stuck(s);
        notify_say(&s->notify, "WATCHDOG=1");
    }
    if (s->status_due_ms <= s->now_ms) {
        uint64_t sessions = sessions_now(s);
        s->status_due_ms = s->now_ms + SUPERVISOR_STATUS_MS;
        if (sessions != s->told_sessions) {
            s->told_sessions = sessions;
            notify_say(
                &s->notify, "STATUS=%llu session%s", (unsigned long long)sessions, sessions == 1 ? "" : "s");
        }
    }
}

static void do_due(struct supervisor *s)
{
    if (s->ready_due_ms <= s->now_ms) {
        reload_kill_unready(s);
        reload_failed(s, "the workers of the new configuration were not ready in time");
    }
    if (s->drain_due_ms <= s->now_ms) {
        end_sessions(s);
    }
    if (s->kill_due_ms <= s->now_ms) {
        s->kill_due_ms = CLOCK_NEVER;
        crew_kill(s);
    }
    if (s->tickets_due_ms <= s->now_ms) {
        s->tickets_due_ms = s->now_ms + TLS_TICKETS_ROTATE_MS;
        (void)tls_tickets_rotate(&s->board.head->tickets); /* if not, the old keys stay for another hour */
    }
    tell_manager(s);
    crew_fork_due(s);
    crew_fork_admin_due(s);
}

static int timeout_ms(const struct supervisor *s)
{
    const uint64_t due[] = {s->ready_due_ms, s->leave_due_ms, s->drain_due_ms, s->kill_due_ms,
        s->tickets_due_ms, s->status_due_ms, s->watchdog_due_ms, crew_due_ms(s)};
    uint64_t first = CLOCK_NEVER;
    for (size_t i = 0; i < sizeof due / sizeof due[0]; i++) {
        first = due[i] < first ? due[i] : first;
    }
    uint64_t now_ms = clock_now_ms();
    if (first == CLOCK_NEVER) {
        return -1;
    }
    uint64_t left = first > now_ms ? first - now_ms : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

static void turn(struct supervisor *s)
{
    struct pollfd fds[BOARD_SLOTS + 8];
    struct member *whose[BOARD_SLOTS + 8];
    nfds_t count = 1;
    fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    for (struct member *m = crew_first(s); m != NULL && count < BOARD_SLOTS + 8; m = crew_next(s, m)) {
        if (m->control >= 0) {
            whose[count] = m;
            fds[count++] = (struct pollfd){.fd = m->control, .events = POLLIN};
        }
    }
    int ready = poll(fds, count, timeout_ms(s));
    s->now_ms = clock_now_ms();
    for (nfds_t i = 1; ready > 0 && i < count; i++) {
        if (fds[i].revents != 0) {
            listen_to(s, whose[i]);
        }
    }
    if (ready > 0 && fds[0].revents != 0) {
        read_signals(s); /* behind the pairs: these may free members */
    }
    reload_progress(s);
    do_due(s);
}

/* ---- The beginning. */

/* Two descriptors a session: take as many as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else the old limit stays: accepting pauses at it */
    }
}

/* A session has two descriptors. */
static void check_descriptors(struct generation *g)
{
    struct rlimit limit;
    uint64_t wanted = g->rules->sessions_max;
    if (wanted == SIZE_OFF || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 2 * wanted) {
        return;
    }
    struct log_line line;
    log_begin(&line, &g->log, LOG_WARNING, "few_descriptors");
    log_cstr(
        &line, "reason", "each session takes two: raise the limit of descriptors, or lower limits.sessions");
    log_u64(&line, "descriptors", limit.rlim_cur);
    log_u64(&line, "sessions", wanted);
    log_end(&line);
}

static bool cannot(const char *what)
{
    (void)fprintf(stderr, "sluice: %s\n", what);
    return false;
}

static bool prepare(struct supervisor *s)
{
    char why[HANDED_WHY_MAX];
    struct handed handed;
    if (!handed_init(&handed, why)) {
        return cannot(why);
    }
    sockets_init(&s->sockets, handed);
    if (!board_init(&s->board)) {
        return cannot("shared memory: it cannot be had");
    }
    if (!tls_tickets_rotate(&s->board.head->tickets)) {
        return cannot("no randomness");
    }
    /* OpenSSL begins with its first use, once for all workers: where that failed, no session could begin. */
    char accept_key[DIGEST_ACCEPT_LEN + 1];
    if (!digest_accept_key(SLICE(""), accept_key)) {
        return cannot("OpenSSL: out of memory");
    }
    return watch_signals(s) || cannot("signals cannot be watched");
}

static bool start(struct supervisor *s, struct rules *rules)
{
    struct generation_fault fault;
    struct generation *first = generation_open(rules, ++s->generations, &s->board, &s->sockets, &fault);
    if (first == NULL) {
        (void)fprintf(stderr, "%s\n", fault.text);
        s->status = fault.status;
        return false;
    }
    check_descriptors(first);
    if (s->notify.watchdog_ms > 0) {
        s->watchdog_due_ms = s->now_ms;
    }
    if (s->notify.fd >= 0) {
        s->status_due_ms = s->now_ms + SUPERVISOR_STATUS_MS;
    }
    return reload_start(s, first) || crew_workers(s) > 0;
}

int supervisor_run(struct rules *rules, const char *file)
{
    struct supervisor s = {
        .file = file,
        .stage = STAGE_STARTING,
        .text_fd = -1,
        .signals = -1,
        .board = {.fd = -1},
        .admin_seat = {.due_ms = CLOCK_NEVER},
        .ready_due_ms = CLOCK_NEVER,
        .leave_due_ms = CLOCK_NEVER,
        .drain_due_ms = CLOCK_NEVER,
        .kill_due_ms = CLOCK_NEVER,
        .status_due_ms = CLOCK_NEVER,
        .watchdog_due_ms = CLOCK_NEVER,
        .now_ms = clock_now_ms(),
    };
    list_init(&s.crew);
    list_init(&s.sockets.entries);
    s.tickets_due_ms = s.now_ms + TLS_TICKETS_ROTATE_MS;
    raise_descriptor_limit();
    if (rules->sandbox != SANDBOX_OFF) {
        sandbox_keep_memory(); /* before there are keys in it */
    }
    notify_init(&s.notify);
    if (!prepare(&s)) {
        s.status = EXIT_CANNOT_RUN;
        rules_free(rules);
    } else if (start(&s, rules)) {
        while (crew_workers(&s) > 0 || s.stage < STAGE_DRAINING) {
            turn(&s);
        }
        crew_end_admin(&s);
        s.kill_due_ms = s.now_ms + SUPERVISOR_KILL_MS;
        while (!list_empty(&s.crew)) {
            turn(&s);
        }
    }
    generation_free(s.now);
    generation_free(s.next);
    sockets_fini(&s.sockets);
    board_fini(&s.board);
    notify_fini(&s.notify);
    if (s.signals >= 0) {
        close(s.signals);
    }
    return s.status;
}
