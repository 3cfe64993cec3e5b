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

enum { READ_MAX = 256 * 1024 };

struct end {
    int fd;
    uint32_t events; /* what epoll was told, if `known` */
    bool known;
    bool ended;        /* no more comes from here */
    char *kept;        /* came from here, and the other end would not take it yet */
    size_t from, to;   /* of it */
    struct end *other; /* NULL: this listens */
};

static int poller;
static struct sockaddr_in target = {.sin_family = AF_INET};
static char scratch[READ_MAX];

static void *must(bool fine, void *made)
{
    if (!fine) {
        perror("floor");
        exit(1);
    }
    return made;
}

static struct end *end_new(int fd)
{
    struct end *end = must(fd >= 0, calloc(1, sizeof *end));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    end->fd = fd;
    return end;
}

static void watch(struct end *end)
{
    bool reads = end->other == NULL || (!end->ended && end->kept == NULL);
    bool writes = end->other != NULL && end->other->kept != NULL;
    uint32_t events = (reads ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U);
    struct epoll_event event = {.events = events, .data.ptr = end};
    if (!end->known || events != end->events) {
        must(epoll_ctl(poller, end->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, end->fd, &event) == 0, NULL);
        end->known = true;
        end->events = events;
    }
}

/* To the other end; what it does not take is kept. False: it is gone. */
static bool pass(struct end *end, const char *bytes, size_t n)
{
    ssize_t sent = send(end->other->fd, bytes, n, MSG_NOSIGNAL);
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    if (end->kept == NULL && taken < n) {
        end->kept = must(true, malloc(n - taken));
        memcpy(end->kept, bytes + taken, n - taken);
        end->from = 0;
        end->to = n - taken;
    } else if (end->kept != NULL && (end->from += taken) == end->to) {
        free(end->kept);
        end->kept = NULL;
    }
    return sent >= 0 || errno == EAGAIN;
}

/* False: the connection is over. */
static bool relay(struct end *end, uint32_t events)
{
    struct end *other = end->other;
    bool fine = (events & EPOLLERR) == 0;
    if (other->kept != NULL && (events & EPOLLOUT) != 0) {
        fine = fine && pass(other, other->kept + other->from, other->to - other->from);
    }
    if (!end->ended && end->kept == NULL && (events & (EPOLLIN | EPOLLHUP)) != 0) {
        ssize_t n = recv(end->fd, scratch, sizeof scratch, 0);
        end->ended = n == 0;
        fine = fine && (n > 0 ? pass(end, scratch, (size_t)n) : n == 0 || errno == EAGAIN);
    }
    for (int i = 0; i < 2; i++, end = other) {
        if (end->ended && end->kept == NULL) {
            shutdown(end->other->fd, SHUT_WR); /* twice does no harm */
        }
    }
    return fine && !(end->ended && end->other->ended && end->kept == NULL && end->other->kept == NULL);
}

static void finish(struct end *end)
{
    close(end->fd);
    free(end->kept);
    end->kept = NULL;
    end->fd = -1;
}

static void take(const struct end *door)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct end *client = end_new(fd);
        struct end *server = end_new(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        client->other = server;
        server->other = client;
        (void)connect(server->fd, (struct sockaddr *)&target, sizeof target); /* epoll tells of a failure */
        watch(client);
        watch(server);
    }
}

/* Answers the connection if it is over; its events may still be in the list. */
static struct end *turn(struct end *end, uint32_t events)
{
    if (end->other == NULL) {
        take(end);
    } else if (end->fd >= 0 && relay(end, events)) {
        watch(end);
        watch(end->other);
    } else if (end->fd >= 0) {
        finish(end);
        finish(end->other);
        return end;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    must(argc == 3, NULL);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    at.sin_addr.s_addr = target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)atoi(argv[2]));
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct end *door = end_new(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    setsockopt(door->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    must(bind(door->fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(door->fd, 4096) == 0, NULL);
    watch(door);
    for (;;) {
        struct epoll_event events[256];
        struct end *over[256];
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            over[i] = turn(events[i].data.ptr, events[i].events);
        }
        for (int i = 0; i < n; i++) {
            if (over[i] != NULL) {
                free(over[i]->other);
                free(over[i]);
            }
        }
    }
}
