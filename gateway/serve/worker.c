#include "serve/worker.h"
#include "base/clock.h"
#include "serve/listener.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { RESOLVER_THREADS = 4 };

struct worker {
    const struct rules *rules;
    struct log *log;
    struct loop *loop;
    struct wheel wheel;
    struct resolver *resolver;
    struct census *census;
    struct relay relay;
    struct worker_socket *sockets; /* [listen_count] */
    struct tls_server **tls;       /* [listen_count]; NULL: plain */
    struct listener *listeners;    /* [listen_count] */
    size_t started;                /* listeners that accept */
    struct loop_watch signals;
    bool relaying; /* `relay` is there */
    bool stopping;
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

static int bad_tls(const struct worker *w, struct place at, const char *why)
{
    (void)fprintf(stderr, "%s:%u:%u: %s\n", w->rules->file, at.line, at.column, why);
    return EXIT_USAGE;
}

static int open_tls(struct worker *w, size_t index, const struct listen_tls_rule *rule)
{
    char why[TLS_WHY_MAX];
    enum tls_blamed blamed;
    struct tls_server *server = tls_server_new(rule->min_version == TLS_MIN_1_3);
    w->tls[index] = server;
    if (server == NULL) {
        return cannot_run(w, "TLS: out of memory");
    }
    for (size_t i = 0; i < rule->certificate_count; i++) {
        const struct certificate_rule *pair = &rule->certificates[i];
        if (!tls_server_add_certificate(server, pair->cert, pair->key, why, &blamed)) {
            return bad_tls(w, blamed == TLS_BLAMED_KEY ? pair->key_at : pair->cert_at, why);
        }
    }
    bool require = rule->client_auth == CLIENT_AUTH_REQUIRE;
    if (rule->client_ca != NULL && !tls_server_ask_client(server, rule->client_ca, require, why)) {
        return bad_tls(w, rule->client_ca_at, why);
    }
    return EXIT_FINE;
}

/* Connections that would come now are refused by the system rather than left in a queue. */
static void stop_listening(struct worker *w)
{
    while (w->started > 0) {
        w->started--;
        listener_stop(&w->listeners[w->started]);
        close(w->sockets[w->started].fd);
        w->sockets[w->started].fd = -1;
    }
}

static void log_no_reload(struct worker *w)
{
    struct log_line line;
    log_begin(&line, w->log, LOG_WARNING, "not_reloaded");
    log_cstr(
        &line, "reason", "this version does not reload; restart it to have it read the configuration again");
    log_end(&line);
}

/* The first signal lets sessions say goodbye; the second does not wait for them. */
static void signal_came(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct worker *w = CONTAINER_OF(watch, struct worker, signals);
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof info) != sizeof info) {
        return;
    }
    if (info.ssi_signo == SIGHUP) {
        log_no_reload(w);
        return;
    }
    w->stop_now = w->stopping;
    if (w->stopping) {
        return;
    }
    w->stopping = true;
    struct log_line line;
    log_begin(&line, w->log, LOG_INFO, "stopping");
    log_u64(&line, "sessions", tally_read(&w->census->own->sessions));
    log_end(&line);
    stop_listening(w);
    relay_drain(&w->relay);
}

static void signals_of_worker(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void worker_block_signals(void)
{
    sigset_t set;
    signals_of_worker(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* also for the threads that start later */
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool watch_signals(struct worker *w)
{
    sigset_t set;
    signals_of_worker(&set);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    loop_watch_init(&w->signals, fd, signal_came);
    return fd >= 0 && loop_want(w->loop, &w->signals, LOOP_READ);
}

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

static int open_all(struct worker *w)
{
    size_t count = w->rules->listen_count;
    wheel_init(&w->wheel, clock_now_ms());
    w->loop = loop_new(loop_kind_of(w->rules->poller));
    w->tls = calloc(count, sizeof *w->tls);
    w->listeners = calloc(count, sizeof *w->listeners);
    if (w->loop == NULL || w->tls == NULL || w->listeners == NULL || !watch_signals(w)) {
        return cannot_run(w, "out of memory or descriptors");
    }
    for (size_t i = 0; i < count; i++) {
        int status = w->rules->listens[i].tls != NULL ? open_tls(w, i, w->rules->listens[i].tls) : EXIT_FINE;
        if (status != EXIT_FINE) {
            return status;
        }
    }
    w->resolver = resolver_new(w->loop, RESOLVER_THREADS);
    if (w->resolver == NULL) {
        return cannot_run(w, "look-up: out of memory or descriptors");
    }
    w->census = census_new_alone();
    if (w->census == NULL) {
        return cannot_run(w, "out of memory");
    }
    char why[TLS_WHY_MAX];
    struct dial_host net = {w->loop, &w->wheel, w->resolver};
    if (!relay_init(&w->relay, w->rules, w->log, net, w->census, NULL, why)) {
        (void)fprintf(stderr, "%s: %s\n", w->rules->file, why);
        return EXIT_USAGE;
    }
    w->relaying = true;
    for (; w->started < count; w->started++) {
        struct worker_socket *socket = &w->sockets[w->started];
        struct relay_door door = {socket->bound, w->tls[w->started], &w->rules->listens[w->started]};
        if (!listener_start(&w->listeners[w->started], &w->relay, door, socket->fd)) {
            return cannot_run(w, "a listener cannot be watched");
        }
    }
    return EXIT_FINE;
}

static void close_all(struct worker *w)
{
    stop_listening(w);
    if (w->relaying) {
        relay_fini(&w->relay);
    }
    census_free_alone(w->census);
    transport_thread_fini();
    resolver_free(w->resolver);
    for (size_t i = 0; w->tls != NULL && i < w->rules->listen_count; i++) {
        tls_server_free(w->tls[i]);
    }
    if (w->loop != NULL && w->signals.ready != NULL) {
        loop_forget(w->loop, &w->signals);
        close(w->signals.fd);
    }
    loop_free(w->loop);
    free(w->tls);
    free(w->listeners);
}

static void log_ready(struct worker *w)
{
    struct log_line line;
    char array[LOG_LINE_MAX];
    struct text listen;
    text_init(&listen, array, sizeof array);
    for (size_t i = 0; i < w->rules->listen_count; i++) {
        text_addf(&listen, "%s%s", i == 0 ? "" : ",", w->sockets[i].bound);
    }
    log_begin(&line, w->log, LOG_INFO, "ready");
    log_cstr(&line, "version", SLUICE_VERSION);
    log_str(&line, "listen", text_slice(&listen));
    log_cstr(&line, "poller", w->rules->poller == POLLER_AUTO ? "auto" : loop_engine(w->loop));
    log_end(&line);
}

/* A session has two descriptors. */
static void check_descriptors(struct worker *w)
{
    struct rlimit limit;
    uint64_t wanted = w->rules->sessions_max;
    if (wanted == SIZE_OFF || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 2 * wanted) {
        return;
    }
    struct log_line line;
    log_begin(&line, w->log, LOG_WARNING, "few_descriptors");
    log_cstr(
        &line, "reason", "each session takes two: raise the limit of descriptors, or lower limits.sessions");
    log_u64(&line, "descriptors", limit.rlim_cur);
    log_u64(&line, "sessions", wanted);
    log_end(&line);
}

static void turn(struct worker *w, bool again)
{
    loop_wait(w->loop, again ? 0 : wheel_timeout_ms(&w->wheel, clock_now_ms(), -1));
    relay_turn(&w->relay, clock_now_ms());
    loop_dispatch(w->loop);
    wheel_run(&w->wheel, w->relay.now_ms);
}

int worker_run(const struct rules *rules, struct log *log, struct worker_socket *sockets)
{
    struct worker w = {.rules = rules, .log = log, .sockets = sockets};
    int status = open_all(&w);
    if (status == EXIT_FINE) {
        check_descriptors(&w);
        log_ready(&w);
    }
    bool again = false;
    while (status == EXIT_FINE && !w.stop_now && !(w.stopping && w.relay.connections == 0)) {
        turn(&w, again);
        again = relay_run_again(&w.relay);
    }
    close_all(&w);
    return status;
}
