/* The TCP back end of the benchmark: `echo`, `sink` and `source`, each on its port.
 *
 *   backend COUNTERS echo=PORT sink=PORT source=PORT
 *
 * What comes is checked by its place (pattern.h). As it is thereby known, an echo keeps no bytes: it sends
 * the pattern up to where it has received it. One thread, epoll; `ready` on stdout, and COUNTERS counts. */
#include "counters.h"
#include "pattern.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_MAX = 256 * 1024,
    SEND_PIECE = 64 * 1024, /* one write of a source */
    SEND_BUDGET = 256 * 1024,
    OWED_MAX = 256 * 1024, /* an echo that is owed more stops reading */
    EVENTS = 256,
};

enum role { ROLE_ECHO, ROLE_SINK, ROLE_SOURCE, ROLE_COUNT };

static const char *const role_names[ROLE_COUNT] = {"echo", "sink", "source"};

struct peer {
    int fd;
    enum role role;
    bool listening;
    bool ended; /* the other side sent its FIN */
    uint32_t events;
    uint64_t received;
    uint64_t sent;
};

static struct counters *counters;
static int poller;
static uint8_t scratch[READ_MAX];

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct peer *peer, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(poller, op, peer->fd, &event) != 0) {
        die("backend: epoll_ctl");
    }
    peer->events = events;
}

static uint64_t owed(const struct peer *peer)
{
    switch (peer->role) {
    case ROLE_ECHO:
        return peer->received - peer->sent;
    case ROLE_SOURCE:
        return counters->stop != 0 ? 0 : UINT64_MAX;
    case ROLE_SINK:
    case ROLE_COUNT:
        break;
    }
    return 0;
}

/* False: the peer is gone. */
static bool send_owed(struct peer *peer)
{
    size_t budget = SEND_BUDGET;
    while (owed(peer) > 0 && budget > 0) {
        uint64_t n = owed(peer) < SEND_PIECE ? owed(peer) : SEND_PIECE;
        ssize_t sent = send(peer->fd, pattern_at(peer->sent), (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN;
        }
        peer->sent += (uint64_t)sent;
        counters->bytes_out += (uint64_t)sent;
        if ((uint64_t)sent < n) {
            break;
        }
        budget -= SEND_PIECE;
    }
    return true;
}

/* False: the peer is gone, or sent what it should not have. */
static bool receive(struct peer *peer)
{
    ssize_t n = recv(peer->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN;
    }
    if (n == 0) {
        peer->ended = true;
        return true;
    }
    if (peer->role == ROLE_SOURCE || !pattern_holds(peer->received, scratch, (size_t)n)) {
        counters->bad++;
        fprintf(stderr, "backend: %s: %zd bytes at %llu are not what was sent\n", role_names[peer->role], n,
            (unsigned long long)peer->received);
        return false;
    }
    peer->received += (uint64_t)n;
    counters->bytes_in += (uint64_t)n;
    return true;
}

static void serve(struct peer *peer, uint32_t events)
{
    bool alive = (events & EPOLLERR) == 0;
    if (alive && (events & (EPOLLIN | EPOLLHUP)) != 0 && (peer->events & EPOLLIN) != 0) {
        alive = receive(peer);
    }
    alive = alive && send_owed(peer);
    if (!alive || (peer->ended && (peer->role != ROLE_ECHO || owed(peer) == 0))) {
        (void)close(peer->fd);
        free(peer);
        counters->open--;
        return;
    }
    if (peer->role == ROLE_SOURCE && owed(peer) == 0) {
        (void)shutdown(peer->fd, SHUT_WR);
    }
    bool reads = !peer->ended && (peer->role != ROLE_ECHO || owed(peer) < OWED_MAX);
    uint32_t wanted = (reads ? EPOLLIN : 0) | (owed(peer) > 0 ? EPOLLOUT : 0);
    if (wanted != peer->events) {
        watch(peer, EPOLL_CTL_MOD, wanted);
    }
}

static struct peer *peer_new(int fd, enum role role, bool listening)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        die("backend");
    }
    *peer = (struct peer){.fd = fd, .role = role, .listening = listening};
    watch(peer, EPOLL_CTL_ADD, !listening && role == ROLE_SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return peer;
}

static void take(const struct peer *door)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED) {
            die("backend: accept");
        }
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)peer_new(fd, door->role, false);
    counters->opened++;
    counters->open++;
}

/* `echo=7001` */
static void listen_on(const char *argument)
{
    const char *equals = strchr(argument, '=');
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        size_t n = strlen(role_names[role]);
        if (equals == NULL || (size_t)(equals - argument) != n ||
            strncmp(argument, role_names[role], n) != 0) {
            continue;
        }
        struct sockaddr_in at = {.sin_family = AF_INET,
            .sin_port = htons((uint16_t)strtoul(equals + 1, NULL, 10)),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int on = 1;
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
            bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0) {
            die(argument);
        }
        (void)peer_new(fd, role, true);
        return;
    }
    fprintf(stderr, "backend: %s is none of echo=PORT, sink=PORT, source=PORT\n", argument);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: backend COUNTERS echo=PORT sink=PORT source=PORT\n", stderr);
        return 2;
    }
    counters = counters_map(argv[1], true);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (counters == NULL || poller < 0) {
        die(argv[1]);
    }
    counters->pid = (int32_t)getpid();
    pattern_init();
    for (int i = 2; i < argc; i++) {
        listen_on(argv[i]);
    }
    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer->listening) {
                take(peer);
            } else {
                serve(peer, events[i].events);
            }
        }
    }
}
