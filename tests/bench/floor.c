/* The floor: what relaying costs at the least. Bytes from one TCP socket to another, with the gateway's read
 * size and nothing else: no protocol, no limits, no timers.
 *
 *   floor PORT TARGET_PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_MAX = 256 * 1024, EVENTS = 256 };

struct end {
    int fd;
    uint32_t events;
    bool ended; /* no more comes from here */
    bool told;  /* and the other end knows */
    char *kept; /* came from here, the other end would not take it */
    size_t kept_from;
    size_t kept_to;
    struct end *other; /* NULL: this listens */
};

static int poller;
static struct sockaddr_in target = {.sin_family = AF_INET};
static char scratch[READ_MAX];
static struct end *dead; /* freed once the turn is over: its events may still be in the list */

static void watch(struct end *end, int op)
{
    uint32_t wanted = (end->other == NULL || (!end->ended && end->kept == NULL) ? EPOLLIN : 0) |
                      (end->other != NULL && end->other->kept != NULL ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.ptr = end};
    if ((op == EPOLL_CTL_ADD || wanted != end->events) && epoll_ctl(poller, op, end->fd, &event) != 0) {
        perror("floor: epoll_ctl");
        exit(1);
    }
    end->events = wanted;
}

static struct end *end_new(int fd)
{
    struct end *end = calloc(1, sizeof *end);
    if (fd < 0 || end == NULL) {
        perror("floor");
        exit(1);
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    end->fd = fd;
    return end;
}

/* Sends to `to` what came from `from`; keeps what is not taken. False: `to` is gone. */
static bool pass(struct end *from, const char *bytes, size_t n)
{
    ssize_t sent = send(from->other->fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        return false;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    if (from->kept != NULL) {
        from->kept_from += taken;
        if (from->kept_from == from->kept_to) {
            free(from->kept);
            from->kept = NULL;
        }
    } else if (taken < n) {
        from->kept = malloc(n - taken);
        if (from->kept == NULL) {
            return false;
        }
        memcpy(from->kept, bytes + taken, n - taken);
        from->kept_from = 0;
        from->kept_to = n - taken;
    }
    return true;
}

static bool relay(struct end *end, uint32_t events)
{
    struct end *other = end->other;
    if ((events & EPOLLOUT) != 0 && other->kept != NULL &&
        !pass(other, other->kept + other->kept_from, other->kept_to - other->kept_from)) {
        return false;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !end->ended && end->kept == NULL) {
        ssize_t n = recv(end->fd, scratch, sizeof scratch, 0);
        if (n == 0) {
            end->ended = true;
        } else if ((n < 0 && errno != EAGAIN) || (n > 0 && !pass(end, scratch, (size_t)n))) {
            return false;
        }
    }
    for (struct end *e = end;; e = other) {
        if (e->ended && !e->told && e->kept == NULL) {
            e->told = true;
            (void)shutdown(e->other->fd, SHUT_WR);
        }
        if (e == other) {
            break;
        }
    }
    return !(end->told && other->told) && (events & EPOLLERR) == 0;
}

static void finish(struct end *end)
{
    (void)close(end->fd);
    end->fd = -1;
    free(end->kept);
    end->kept = NULL;
}

static void take(const struct end *door)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct end *client = end_new(fd);
    struct end *server = end_new(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    client->other = server;
    server->other = client;
    (void)connect(server->fd, (struct sockaddr *)&target, sizeof target); /* a failure is seen by epoll */
    watch(client, EPOLL_CTL_ADD);
    watch(server, EPOLL_CTL_ADD);
}

static void turn(struct end *end, uint32_t events)
{
    if (end->other == NULL) {
        take(end);
    } else if (end->fd >= 0 && relay(end, events)) {
        watch(end, EPOLL_CTL_MOD);
        watch(end->other, EPOLL_CTL_MOD);
    } else if (end->fd >= 0) {
        struct end *other = end->other;
        finish(end);
        finish(other);
        other->other = dead;
        end->other = other;
        dead = end;
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: floor PORT TARGET_PORT\n", stderr);
        return 2;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    at.sin_addr.s_addr = target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)atoi(argv[2]));
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct end *door = end_new(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int on = 1;
    (void)setsockopt(door->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(door->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(door->fd, 4096) != 0) {
        perror("floor");
        return 1;
    }
    watch(door, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            turn(events[i].data.ptr, events[i].events);
        }
        while (dead != NULL) {
            struct end *next = dead->other;
            free(dead);
            dead = next;
        }
    }
}
