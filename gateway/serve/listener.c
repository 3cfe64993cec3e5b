#include "serve/listener.h"
#include <errno.h>
#include <string.h>

enum {
    BATCH = 64,       /* accepted in one turn, so that a storm leaves sessions their share */
    QUEUE_MAX = 8192, /* more than a queue holds: a storm does not keep a listener from closing */
    PAUSE_MS = 100,   /* without descriptors: until sessions have ended */
};

static bool wait_for_clients(struct listener *listener)
{
    return loop_want(listener->relay->net.loop, &listener->watch, LOOP_READ);
}

static void log_pause(struct listener *listener, int err)
{
    struct relay *relay = listener->relay;
    struct log_line line;
    log_begin(&line, relay->log, LOG_WARNING, "accept_paused");
    log_cstr(&line, "listener", listener->door.name);
    log_cstr(&line, "reason", strerror(err));
    log_u64(&line, "connections", relay->connections);
    log_end(&line);
}

/* Told once: until a connection was accepted again, more pauses are the same shortage. */
static void pause_accepting(struct listener *listener, int err)
{
    struct relay *relay = listener->relay;
    if (!listener->short_of) {
        listener->short_of = true;
        log_pause(listener, err);
    }
    loop_forget(relay->net.loop, &listener->watch);
    wheel_arm(relay->net.wheel, &listener->pause, relay->now_ms + PAUSE_MS);
}

static void pause_over(struct wheel_timer *timer, uint64_t now_ms)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, pause);
    if (!wait_for_clients(listener)) {
        wheel_arm(listener->relay->net.wheel, timer, now_ms + PAUSE_MS);
    }
}

/* A connection that died in the queue, or a hiccup of the network, concerns that connection alone
 * (accept(2)). */
static bool is_passing(int err)
{
    return err == ECONNABORTED || err == EINTR || err == EPROTO || err == ENETDOWN || err == ENOPROTOOPT ||
           err == EHOSTDOWN || err == ENONET || err == EHOSTUNREACH || err == ENETUNREACH || err == EPERM;
}

enum accepted { ACCEPTED, ACCEPTED_NONE, ACCEPT_FAILED };

static enum accepted accept_one(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    int fd = accept4(listener->watch.fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct sock_peer peer = sock_peer_from(&address);
        listener->short_of = false;
        relay_accept(listener->relay, &listener->door, fd, &peer);
        return ACCEPTED;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return ACCEPTED_NONE;
    }
    return is_passing(errno) ? ACCEPTED : ACCEPT_FAILED;
}

static void clients_wait(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    for (int i = 0; i < BATCH; i++) {
        switch (accept_one(listener)) {
        case ACCEPTED:
            break;
        case ACCEPTED_NONE:
            return;
        case ACCEPT_FAILED:
            pause_accepting(listener, errno);
            return;
        }
    }
}

void listener_empty(struct listener *listener)
{
    for (int i = 0; i < QUEUE_MAX && accept_one(listener) == ACCEPTED; i++) {
    }
}

bool listener_start(struct listener *listener, struct relay *relay, struct relay_door door, int fd)
{
    *listener = (struct listener){.relay = relay, .door = door};
    loop_watch_init(&listener->watch, fd, clients_wait);
    wheel_timer_init(&listener->pause, pause_over);
    return wait_for_clients(listener);
}

void listener_stop(struct listener *listener)
{
    wheel_cancel(&listener->pause);
    loop_forget(listener->relay->net.loop, &listener->watch);
}
