#include "serve/worker.h"
#include "base/clock.h"
#include "serve/control.h"
#include "serve/listener.h"
#include "serve/orders.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    RESOLVER_THREADS = 4,
    GRACE_MS = 1000, /* a drain gives connections that were just taken this long for their request */
    TELL_MS = 1000,  /* lost lines are told of this long after, where no further line does it before */
};

struct worker {
    struct generation *generation;
    struct worker_seat seat;
    struct board_slot *slot;
    struct log *log;
    struct relay *relay;
    struct loop *loop;
    struct wheel wheel;
    struct resolver *resolver;
    struct loop_watch control;
    struct loop_watch signals; /* looked at by an orphan alone */
    struct orders orders;
    struct wheel_timer grace;
    struct wheel_timer tell;
    struct listener *listeners; /* [listener_count] */
    unsigned *listens;          /* [listener_count]: which of the rules each is of */
    size_t listener_count;
    bool closing; /* accepts no more: ends with its last connection */
    bool orphaned;
    bool stop_now;
};

static int cannot_run(struct worker *w, const char *what)
{
    struct log_line line;
    log_begin(&line, w->log, LOG_ERROR, "cannot_run");
    log_cstr(&line, "reason", what);
    log_end(&line);
    return EXIT_CANNOT_RUN;
}

/* ---- Accepting, and its end. */

static void close_listener(struct listener *listener)
{
    if (listener->watch.fd >= 0) {
        listener_stop(listener);
        close(listener->watch.fd);
        listener->watch.fd = -1;
    }
}

/* Where no other process holds the socket, connections that come now are refused rather than left waiting. */
static void stop_accepting(struct worker *w)
{
    w->closing = true;
    for (size_t i = 0; i < w->listener_count; i++) {
        close_listener(&w->listeners[i]);
    }
}

/* The address is given up, and nobody else will take what waits there. */
static void finish_listener(struct worker *w, uint32_t listen)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        if (w->listens[i] == listen && w->listeners[i].watch.fd >= 0) {
            listener_empty(&w->listeners[i]);
            close_listener(&w->listeners[i]);
        }
    }
}

static void drain(struct worker *w)
{
    for (uint32_t i = 0; !w->relay->refusing && i < w->listener_count; i++) {
        finish_listener(w, w->listens[i]);
    }
    stop_accepting(w);
    relay_refuse(w->relay);
    wheel_arm(&w->wheel, &w->grace, clock_now_ms() + GRACE_MS);
}

/* False: the supervisor does not take it, or is gone. */
static bool say(struct worker *w, enum control_kind kind)
{
    struct control_message message = {.kind = kind, .slot = w->seat.slot};
    return control_send(w->seat.control, &message, -1);
}

static void retire(struct worker *w)
{
    stop_accepting(w);
    relay_leave(w->relay);
    (void)say(w, CONTROL_RETIRED); /* if not, it is waited for a while */
}

static void grace_over(struct wheel_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct worker *w = CONTAINER_OF(timer, struct worker, grace);
    relay_hush(w->relay);
}

/* ---- Lines that were lost, after the last one of a flood. */

static void tell_lost(struct wheel_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct worker *w = CONTAINER_OF(timer, struct worker, tell);
    (void)log_tell_lost(w->log); /* if not, once more */
}

static void plan_telling(struct worker *w)
{
    if (log_owes(w->log) && !wheel_armed(&w->tell)) {
        wheel_arm(&w->wheel, &w->tell, clock_now_ms() + TELL_MS);
    }
}

/* ---- What the supervisor says. */

/* The lines of an old file are not lost: log_adopt_fd takes the new one between two lines. */
static void adopt_log(struct worker *w, const struct control_message *message, int fd)
{
    const struct rules *rules = w->generation->rules;
    bool ours = fd >= 0 && rules->log_output == LOG_OUTPUT_FILE && control_is_name(message, rules->log_file);
    if (ours) {
        log_adopt_fd(w->log, fd);
    } else if (fd >= 0) {
        close(fd);
    }
}

/* Without a supervisor nobody ends us but by a signal. */
static void be_orphaned(struct worker *w)
{
    struct log_line line;
    struct signalfd_siginfo stale;
    w->orphaned = true;
    log_begin(&line, w->log, LOG_WARNING, "orphaned");
    log_u64(&line, "pid", (uint64_t)getpid());
    log_u64(&line, "sessions", tally_read(&w->generation->census.own->sessions));
    log_end(&line);
    loop_forget(w->loop, &w->control);
    stop_accepting(w);
    relay_leave(w->relay);
    while (read(w->signals.fd, &stale, sizeof stale) == (ssize_t)sizeof stale) {
        continue; /* what came while they meant nothing to a worker */
    }
    if (!loop_want(w->loop, &w->signals, LOOP_READ)) {
        w->stop_now = true; /* nothing could end it any more */
    }
}

/* Of an orphan: sessions are told and end, and with the last of them the process; a second one does not wait.
 */
static void signal_came(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct worker *w = CONTAINER_OF(watch, struct worker, signals);
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        w->stop_now = w->relay->draining;
        relay_drain(w->relay);
    }
}

/* They are blocked since the supervisor began. Opened early: what an orphan may still open is less. */
static bool open_signals(struct worker *w)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    loop_watch_init(&w->signals, signalfd(-1, &ending, SFD_NONBLOCK | SFD_CLOEXEC), signal_came);
    return w->signals.fd >= 0;
}

/* `fd` is used up. */
static void obey(struct worker *w, const struct control_message *message, int fd)
{
    switch (message->kind) {
    case CONTROL_RETIRE:
        retire(w);
        break;
    case CONTROL_FINISH:
        finish_listener(w, message->slot);
        break;
    case CONTROL_DRAIN:
        drain(w);
        break;
    case CONTROL_END:
        stop_accepting(w);
        relay_drain(w->relay);
        break;
    case CONTROL_STOP:
        w->stop_now = true;
        break;
    case CONTROL_LOG:
        adopt_log(w, message, fd);
        return;
    case CONTROL_ADMIN:
        if (fd >= 0) {
            orders_attend(&w->orders, fd);
        }
        return;
    case CONTROL_REVOKE:
        orders_revoke(&w->orders, fd, message->name);
        break;
    case CONTROL_READY:
    case CONTROL_RETIRED:
    case CONTROL_WORKER:
    case CONTROL_SERVE:
    case CONTROL_LIST:
    case CONTROL_KILL:
    case CONTROL_LISTED:
    case CONTROL_KILLED:
        break;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void supervisor_speaks(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct worker *w = CONTAINER_OF(watch, struct worker, control);
    while (!w->orphaned && !w->stop_now) {
        struct control_message message;
        int fd;
        switch (control_receive(watch->fd, &message, &fd)) {
        case CONTROL_GOT:
            obey(w, &message, fd);
            break;
        case CONTROL_NOTHING:
            return;
        case CONTROL_CLOSED:
            be_orphaned(w);
            break;
        }
    }
}

/* ---- Beginning and end. */

static enum loop_kind loop_kind_of(enum poller_choice choice)
{
    switch (choice) {
    case POLLER_POLL:
        return LOOP_POLL;
    case POLLER_EPOLL:
        return LOOP_EPOLL;
    case POLLER_AUTO:
        break;
    }
    return LOOP_AUTO;
}

static size_t count_listeners(const struct worker *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->generation->rules->listen_count; i++) {
        count += w->generation->entries[i]->count;
    }
    return count;
}

static bool start_listeners(struct worker *w, unsigned listen)
{
    const struct generation *g = w->generation;
    const struct socket_entry *entry = g->entries[listen];
    struct relay_door door = {entry->bound, g->tls[listen], &g->rules->listens[listen]};
    for (size_t i = 0; i < entry->count; i++) {
        if (!sockets_is_served(entry, i, w->seat.share)) {
            continue;
        }
        size_t at = w->listener_count++;
        w->listens[at] = listen;
        if (!listener_start(&w->listeners[at], w->relay, door, entry->fds[i])) {
            return false;
        }
    }
    return true;
}

static int begin(struct worker *w)
{
    struct generation *g = w->generation;
    size_t listeners = count_listeners(w);
    wheel_init(&w->wheel, clock_now_ms());
    wheel_timer_init(&w->grace, grace_over);
    wheel_timer_init(&w->tell, tell_lost);
    loop_watch_init(&w->control, w->seat.control, supervisor_speaks); /* also what never waits is forgotten */
    w->loop = loop_new(loop_kind_of(g->rules->poller));
    w->listeners = calloc(listeners, sizeof *w->listeners);
    w->listens = calloc(listeners, sizeof *w->listens);
    if (w->loop == NULL || w->listeners == NULL || w->listens == NULL || !open_signals(w)) {
        return cannot_run(w, "out of memory or descriptors");
    }
    w->resolver = resolver_new(w->loop, RESOLVER_THREADS);
    if (w->resolver == NULL || !loop_want(w->loop, &w->control, LOOP_READ)) {
        return cannot_run(w, "look-up: out of memory or descriptors");
    }
    board_census(w->seat.board, w->seat.slot, &g->census);
    w->log->lost_total = &g->census.own->log_lost;
    struct dial_host net = {w->loop, &w->wheel, w->resolver};
    relay_begin(w->relay, net, &g->census, g->rows);
    for (unsigned i = 0; i < g->rules->listen_count; i++) {
        if (!start_listeners(w, i)) {
            return cannot_run(w, "a listener cannot be watched");
        }
    }
    if (!say(w, CONTROL_READY)) { /* it would be waited for, and in the end be given up */
        return cannot_run(w, "the supervisor cannot be told");
    }
    return EXIT_FINE;
}

static void end(struct worker *w)
{
    stop_accepting(w);
    if (w->loop != NULL) {
        orders_fini(&w->orders);
        relay_fini(w->relay);
        w->generation->relay_opened = false;
        wheel_cancel(&w->grace);
        wheel_cancel(&w->tell);
        loop_forget(w->loop, &w->control);
    }
    if (w->signals.ready != NULL && w->signals.fd >= 0) {
        loop_forget(w->loop, &w->signals);
        close(w->signals.fd);
    }
    (void)log_tell_lost(w->log);
    transport_thread_fini();
    resolver_free(w->resolver);
    loop_free(w->loop);
    free(w->listeners);
    free(w->listens);
    close(w->seat.control);
}

static void turn(struct worker *w, bool again)
{
    int most_ms = w->seat.wakeup_ms > 0 ? (int)w->seat.wakeup_ms : -1;
    loop_wait(w->loop, again ? 0 : wheel_timeout_ms(&w->wheel, clock_now_ms(), most_ms));
    relay_turn(w->relay, clock_now_ms());
    atomic_store_explicit(&w->slot->turned_ms, w->relay->now_ms, memory_order_relaxed);
    log_hold(w->log);
    loop_dispatch(w->loop);
    wheel_run(&w->wheel, w->relay->now_ms);
}

int worker_run(struct generation *generation, struct worker_seat seat)
{
    struct worker w = {
        .generation = generation,
        .seat = seat,
        .slot = &seat.board->head->slots[seat.slot],
        .log = &generation->log,
        .relay = &generation->relay,
    };
    log_forked(w.log);
    orders_init(&w.orders, w.relay, seat.slot);
    int status = begin(&w);
    bool again = false;
    while (status == EXIT_FINE && !w.stop_now && !(w.closing && w.relay->connections == 0)) {
        turn(&w, again);
        again = relay_run_again(w.relay);
        log_release(w.log);
        plan_telling(&w);
    }
    end(&w);
    return status;
}
