/* The load generator: see load.h for what it does and `tests/bench/run` for who calls it.
 *
 *   load port=N counters=FILE gateway=PID kind=pingpong|upload|download|echo|churn|idle [ws=1] [tls=1]
 * [resume=1] [path=/] [connections=N] [idle=N] [frame=BYTES] [ms=N] [warm=N] [cipher=SUITE]
 *
 * One line of JSON on stdout; exit status 1 where any byte, handshake or end was not what it has to be. */
#include "load.h"
#include "pattern.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    OPENING_MAX = 64, /* at once */
    IDLE_FIRST = 8,   /* open before the memory of the rest is counted */
    SETTLE_MS = 1500, /* before memory is read: what is to be given back is by then */
    DRAIN_MS = 20000, /* for what was sent to arrive */
    WATCHDOG_S = 120,
};

static _Noreturn void usage(const char *what)
{
    fprintf(stderr, "load: %s: see the head of tests/bench/load.c for what can be said\n", what);
    exit(2);
}

static enum kind kind_named(const char *name)
{
    static const char *const names[] = {"pingpong", "upload", "download", "echo", "churn", "idle"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum kind)i;
        }
    }
    usage(name);
}

static void set_option(struct options *o, char *argument)
{
    char *value = strchr(argument, '=');
    if (value == NULL) {
        usage(argument);
    }
    *value++ = '\0';
    unsigned number = (unsigned)strtoul(value, NULL, 10);
    if (strcmp(argument, "path") == 0) {
        o->path = value;
    } else if (strcmp(argument, "counters") == 0) {
        o->counters = value;
    } else if (strcmp(argument, "cipher") == 0) {
        o->cipher = value;
    } else if (strcmp(argument, "port") == 0) {
        o->port = (uint16_t)number;
    } else if (strcmp(argument, "ws") == 0) {
        o->ws = number != 0;
    } else if (strcmp(argument, "tls") == 0) {
        o->tls = number != 0;
    } else if (strcmp(argument, "resume") == 0) {
        o->resume = number != 0;
    } else if (strcmp(argument, "kind") == 0) {
        o->kind = kind_named(value);
    } else if (strcmp(argument, "connections") == 0) {
        o->connections = number;
    } else if (strcmp(argument, "idle") == 0) {
        o->idle = number;
    } else if (strcmp(argument, "frame") == 0) {
        o->frame_bytes = number;
    } else if (strcmp(argument, "ms") == 0) {
        o->seconds_ms = number;
    } else if (strcmp(argument, "warm") == 0) {
        o->warm_ms = number;
    } else if (strcmp(argument, "gateway") == 0) {
        o->gateway = (pid_t)number;
    } else {
        usage(argument);
    }
}

static void turn(struct load *load, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(load->poller, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        conn_step(load, events[i].data.ptr, events[i].events);
    }
    load->now_ns = measure_now_ns();
}

static void run_for(struct load *load, unsigned ms)
{
    uint64_t end_ns = measure_now_ns() + (uint64_t)ms * 1000000;
    while (load->now_ns < end_ns) {
        turn(load, (int)((end_ns - load->now_ns) / 1000000) + 1);
    }
}

/* Until `reached`, or fails with these words. */
static void run_until(struct load *load, bool (*reached)(const struct load *), const char *or_else)
{
    uint64_t end_ns = measure_now_ns() + (uint64_t)DRAIN_MS * 1000000;
    while (!reached(load)) {
        turn(load, 1);
        if (load->now_ns > end_ns) {
            fprintf(stderr, "load: %s within %d s\n", or_else, DRAIN_MS / 1000);
            exit(1);
        }
    }
}

static bool all_open(const struct load *load)
{
    return load->opening == 0;
}

static bool all_done(const struct load *load)
{
    return load->done == load->count;
}

/* What was sent is sent whole, and is back (or at the sink). */
static bool all_arrived(const struct load *load)
{
    uint64_t sent = 0;
    for (unsigned i = 0; i < load->count; i++) {
        const struct conn *conn = &load->conns[i];
        bool comes_back = conn->kind != KIND_UPLOAD && conn->kind != KIND_DOWNLOAD;
        if (conn->state == STATE_OPEN &&
            (conn->wire_sent < conn->wire_goal ||
                (comes_back && conn->in.received < conn_payload_sent(load, conn)))) {
            return false;
        }
        sent += conn_payload_sent(load, conn);
    }
    return load->options.kind != KIND_UPLOAD || load->counters->bytes_in >= sent;
}

static bool backend_left(const struct load *load)
{
    return load->counters->open == 0;
}

static void open_more(struct load *load, unsigned n, enum kind kind)
{
    for (unsigned i = 0; i < n; i++) {
        while (load->opening >= OPENING_MAX) {
            turn(load, -1);
        }
        conn_start(load, &load->conns[load->count++], kind);
    }
    if (kind != KIND_CHURN) {
        run_until(load, all_open, "not every connection was open");
    }
}

struct reading {
    uint64_t now_ns, gateway_ns, generator_ns, backend_ns, machine_ns;
    uint64_t received, bytes_in, trips;
};

static struct reading take_reading(const struct load *load)
{
    return (struct reading){
        .machine_ns = measure_machine_cpu_ns(),
        .generator_ns = measure_own_cpu_ns(),
        .backend_ns = measure_cpu_ns((pid_t)load->counters->pid),
        .gateway_ns = measure_cpu_ns(load->options.gateway),
        .now_ns = measure_now_ns(),
        .received = load->received,
        .bytes_in = load->counters->bytes_in,
        .trips = load->trips,
    };
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e9;
}

static void print_window(struct load *load, const struct reading *a, const struct reading *b, bool first)
{
    uint64_t bytes = b->received - a->received;
    if (load->options.kind == KIND_UPLOAD) {
        bytes = b->bytes_in - a->bytes_in;
    } else if (load->options.kind == KIND_ECHO) {
        bytes += b->bytes_in - a->bytes_in;
    }
    bool streams = load->options.kind == KIND_UPLOAD || load->options.kind == KIND_DOWNLOAD ||
                   load->options.kind == KIND_ECHO;
    double messages = streams ? (double)bytes / load->options.frame_bytes : (double)(b->trips - a->trips);
    double own = seconds(a->generator_ns, b->generator_ns);
    double backend = seconds(a->backend_ns, b->backend_ns);
    double gateway = seconds(a->gateway_ns, b->gateway_ns);
    double others = seconds(a->machine_ns, b->machine_ns) - own - backend - gateway;
    printf("%s{\"seconds\": %.6f, \"gateway_s\": %.6f, \"generator_s\": %.6f, \"backend_s\": %.6f, "
           "\"others_s\": %.3f, \"bytes\": %llu, \"messages\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f}",
        first ? "" : ", ", seconds(a->now_ns, b->now_ns), gateway, own, backend, others > 0 ? others : 0,
        (unsigned long long)bytes, messages, measure_times_us(&load->times, 0.5),
        measure_times_us(&load->times, 0.99), measure_times_us(&load->times, 0.999));
}

static void measure_window(struct load *load, bool first)
{
    run_for(load, load->options.warm_ms);
    load->times.count = 0;
    load->measuring = true;
    struct reading before = take_reading(load);
    run_for(load, load->options.seconds_ms);
    struct reading after = take_reading(load);
    load->measuring = false;
    print_window(load, &before, &after, first);
}

static void close_from(struct load *load, unsigned first)
{
    for (unsigned i = first; i < load->count; i++) {
        conn_finish(load, &load->conns[i]);
    }
}

static bool idle_left(const struct load *load)
{
    return load->done == load->options.idle;
}

/* Busy ones alone, among idle ones, alone again: what the idle ones cost the busy. */
static void measure_windows(struct load *load)
{
    const struct options *o = &load->options;
    open_more(load, o->connections, o->kind);
    printf("\"windows\": [");
    measure_window(load, true);
    if (o->idle > 0) {
        open_more(load, o->idle, KIND_IDLE);
        run_for(load, SETTLE_MS);
        measure_window(load, false);
        close_from(load, o->connections);
        run_until(load, idle_left, "the idle connections did not end");
        measure_window(load, false);
    }
    printf("]");
}

static void measure_memory(struct load *load)
{
    const struct options *o = &load->options;
    unsigned first = o->connections < IDLE_FIRST ? o->connections : IDLE_FIRST;
    open_more(load, first, KIND_IDLE);
    run_for(load, SETTLE_MS);
    uint64_t before = measure_pss_bytes(o->gateway);
    open_more(load, o->connections - first, KIND_IDLE);
    run_for(load, SETTLE_MS);
    uint64_t after = measure_pss_bytes(o->gateway);
    printf("\"windows\": [], \"idle\": %u, \"pss_before\": %llu, \"pss_after\": %llu, \"pss_each\": %.1f",
        o->connections - first, (unsigned long long)before, (unsigned long long)after,
        ((double)after - (double)before) / (o->connections - first));
}

/* All that was sent has to arrive, unharmed, and every connection has to end. */
static void settle(struct load *load)
{
    load->stopping = true;
    for (unsigned i = 0; i < load->count; i++) {
        conn_stop(load, &load->conns[i]);
    }
    run_until(load, all_arrived, "what was sent did not arrive");
    close_from(load, 0);
    load->counters->stop = 1;
    run_until(load, all_done, "the connections did not end");
    run_until(load, backend_left, "the back end's connections did not end");
    if (load->counters->bad > 0) {
        fputs("load: the back end received bytes that were not sent\n", stderr);
        exit(1);
    }
    uint64_t sent = load->past_sent;
    for (unsigned i = 0; i < load->count; i++) {
        sent += conn_payload_sent(load, &load->conns[i]);
    }
    if (load->options.kind == KIND_DOWNLOAD && load->counters->bytes_out != load->received) {
        fprintf(stderr, "load: the back end sent %llu bytes, %llu came\n",
            (unsigned long long)load->counters->bytes_out, (unsigned long long)load->received);
        exit(1);
    }
    if (load->counters->bytes_in != sent) {
        fprintf(stderr, "load: %llu bytes were sent, %llu came to the back end\n", (unsigned long long)sent,
            (unsigned long long)load->counters->bytes_in);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    struct options *o = &load.options;
    *o = (struct options){
        .path = "/", .connections = 1, .frame_bytes = 64, .seconds_ms = 1000, .warm_ms = 200};
    for (int i = 1; i < argc; i++) {
        set_option(o, argv[i]);
    }
    if (o->port == 0 || o->counters == NULL || o->gateway <= 0 || o->connections == 0 ||
        o->frame_bytes == 0 || PATTERN_LEN % o->frame_bytes != 0) {
        usage("port, counters, gateway or frame");
    }
    pattern_init();
    link_init(o->tls, o->cipher);
    load.counters = counters_map(o->counters, false);
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    load.conns = calloc((size_t)o->connections + o->idle, sizeof *load.conns);
    if (load.counters == NULL || load.poller < 0 || load.conns == NULL ||
        !ws_ring_make(&load.ring, o->frame_bytes, !o->ws)) {
        perror("load");
        return 1;
    }
    (void)alarm(WATCHDOG_S + 3 * (o->seconds_ms + o->warm_ms) / 1000);
    printf("{");
    if (o->kind == KIND_IDLE) {
        measure_memory(&load);
    } else {
        measure_windows(&load);
    }
    settle(&load);
    printf(", \"handshakes\": %llu, \"resumed\": %llu, \"cipher\": \"%s\"}\n",
        (unsigned long long)load.handshakes, (unsigned long long)load.resumed,
        load.cipher == NULL ? "" : load.cipher);
    return 0;
}
