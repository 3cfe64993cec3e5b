/* The TCP servers behind the demo, in one process and one thread around poll(2).
 *
 *     demo-target echo=0 fin=0 reset=0 source=0 sink=0
 *
 * Each NAME=PORT listens on 127.0.0.1 (port 0: the system chooses) and is told back on standard output as
 * NAME=PORT once all of them listen. It then serves until a signal ends it.
 *
 *     echo    sends back what comes, as fast as it is read
 *     fin     greets with a line, then FIN
 *     reset   greets with a line, then RST
 *     source  sends without end, as fast as it is read: byte n of a connection is n mod 251
 *     sink    reads all and says nothing
 *
 * Memory is bounded: at most CONNECTION_MAX connections, and of each at most SCRATCH_BYTES that its peer
 * would not take yet. While something is kept, nothing more is read from that peer, so TCP slows it down. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTENER_MAX = 16,
    CONNECTION_MAX = 256,
    BACKLOG = 128,
    SCRATCH_BYTES = 64 * 1024,
    PATTERN_PERIOD = 251, /* a prime: no buffer's size is a multiple of it, so a lost piece shows */
    PAUSE_MS = 100,
};

enum manner { MANNER_ECHO, MANNER_FIN, MANNER_RESET, MANNER_SOURCE, MANNER_SINK };

static const char *const manner_names[] = {
    [MANNER_ECHO] = "echo",
    [MANNER_FIN] = "fin",
    [MANNER_RESET] = "reset",
    [MANNER_SOURCE] = "source",
    [MANNER_SINK] = "sink",
};
enum { MANNER_COUNT = sizeof(manner_names) / sizeof(manner_names[0]) };

struct listener {
    enum manner manner;
    uint16_t port;
    int fd;
};

struct connection {
    enum manner manner;
    int fd;
    unsigned phase;      /* source: the next byte's place in the pattern */
    unsigned char *kept; /* echo: what the peer would not take yet; NULL when there is none */
    size_t kept_start, kept_end;
};

/* What a step found: go on with this connection, or close it. */
enum outcome { GO_ON, DONE };

static struct listener listeners[LISTENER_MAX];
static size_t listener_count;
static struct connection connections[CONNECTION_MAX]; /* no gaps; the order means nothing */
static size_t connection_count;
static bool accept_paused; /* out of descriptors or memory: try again after PAUSE_MS */
static unsigned char scratch[SCRATCH_BYTES];
static unsigned char pattern[SCRATCH_BYTES + PATTERN_PERIOD];

static const char greeting_fin[] = "Hello from the target. That was all: FIN comes next.\n";
static const char greeting_reset[] = "Hello from the target. RST comes next.\n";

/* Whether a failed recv, send or accept says no more than "not now". */
static bool is_not_now(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* ---- the five manners ---- */

/* Sends what is kept. */
static enum outcome echo_flush(struct connection *c)
{
    ssize_t n = send(c->fd, c->kept + c->kept_start, c->kept_end - c->kept_start, MSG_NOSIGNAL);
    if (n < 0) {
        return is_not_now(errno) ? GO_ON : DONE;
    }
    c->kept_start += (size_t)n;
    if (c->kept_start == c->kept_end) {
        free(c->kept);
        c->kept = NULL;
    }
    return GO_ON;
}

/* Reads into the scratch buffer that all connections share, sends at once, and keeps only what is left over:
 * most of the time that is nothing, and a connection owns no memory. */
static enum outcome echo_relay(struct connection *c)
{
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    if (got <= 0) {
        return got < 0 && is_not_now(errno) ? GO_ON : DONE;
    }
    ssize_t sent = send(c->fd, scratch, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0) {
        if (!is_not_now(errno)) {
            return DONE;
        }
        sent = 0;
    }
    if (sent == got) {
        return GO_ON;
    }
    size_t left = (size_t)(got - sent);
    c->kept = malloc(left);
    if (c->kept == NULL) {
        return DONE;
    }
    memcpy(c->kept, scratch + sent, left);
    c->kept_start = 0;
    c->kept_end = left;
    return GO_ON;
}

/* Reads and forgets; DONE at the peer's FIN or at an error. */
static enum outcome drop_input(struct connection *c)
{
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    return got > 0 || (got < 0 && is_not_now(errno)) ? GO_ON : DONE;
}

static enum outcome source_send(struct connection *c)
{
    ssize_t n = send(c->fd, pattern + c->phase, SCRATCH_BYTES, MSG_NOSIGNAL);
    if (n < 0) {
        return is_not_now(errno) ? GO_ON : DONE;
    }
    c->phase = (unsigned)((c->phase + (size_t)n) % PATTERN_PERIOD);
    return GO_ON;
}

/* A new socket's send buffer is empty, so a line always fits; one that does not is treated as an error. */
static enum outcome greet(struct connection *c, const char *text)
{
    size_t len = strlen(text);
    return send(c->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? GO_ON : DONE;
}

/* The first step of a connection, before its peer has sent anything. */
static enum outcome connection_begin(struct connection *c)
{
    switch (c->manner) {
    case MANNER_ECHO:
    case MANNER_SOURCE:
    case MANNER_SINK:
        return GO_ON;
    case MANNER_FIN:
        if (greet(c, greeting_fin) == DONE || shutdown(c->fd, SHUT_WR) < 0) {
            return DONE;
        }
        /* It stays until the peer's FIN: close(2) with bytes unread would send RST after our FIN. */
        return GO_ON;
    case MANNER_RESET: {
        (void)greet(c, greeting_reset);
        /* A linger time of zero turns close(2) into RST. */
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return DONE;
    }
    }
    return DONE;
}

/* What to wait for follows from the state alone, and is asked anew each turn. */
static short connection_wants(const struct connection *c)
{
    switch (c->manner) {
    case MANNER_ECHO:
        return c->kept != NULL ? POLLOUT : POLLIN;
    case MANNER_SOURCE:
        return POLLIN | POLLOUT;
    case MANNER_FIN:
    case MANNER_RESET:
    case MANNER_SINK:
        return POLLIN;
    }
    return POLLIN;
}

/* One step, with at most one read and one write, so that a busy peer does not starve the others. POLLERR and
 * POLLHUP need no case of their own: the read or write that they lead to fails and tells. */
static enum outcome connection_step(struct connection *c, short ready)
{
    switch (c->manner) {
    case MANNER_ECHO:
        return c->kept != NULL ? echo_flush(c) : echo_relay(c);
    case MANNER_SOURCE:
        if ((ready & ~POLLOUT) != 0 && drop_input(c) == DONE) {
            return DONE;
        }
        return (ready & POLLOUT) != 0 ? source_send(c) : GO_ON;
    case MANNER_FIN:
    case MANNER_RESET:
    case MANNER_SINK:
        return drop_input(c);
    }
    return DONE;
}

/* ---- the turn ---- */

static void connection_close(struct connection *c)
{
    free(c->kept);
    close(c->fd);
    *c = connections[--connection_count];
}

static void accept_one(const struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* The waiting connection keeps poll(2) awake: without a pause this would spin. */
        accept_paused = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        return;
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = &connections[connection_count++];
    *c = (struct connection){.manner = l->manner, .fd = fd};
    if (connection_begin(c) == DONE) {
        connection_close(c);
    }
}

static bool is_accepting(void)
{
    return connection_count < CONNECTION_MAX && !accept_paused;
}

/* Waits once, then serves all that is ready. False when poll(2) failed. */
static bool turn(void)
{
    static struct pollfd set[CONNECTION_MAX + LISTENER_MAX]; /* first the connections, then the listeners */
    const size_t served = connection_count;
    for (size_t i = 0; i < served; i++) {
        set[i] = (struct pollfd){.fd = connections[i].fd, .events = connection_wants(&connections[i])};
    }
    for (size_t i = 0; i < listener_count; i++) {
        /* poll(2) passes over negative descriptors. */
        set[served + i] = (struct pollfd){.fd = is_accepting() ? listeners[i].fd : -1, .events = POLLIN};
    }

    if (poll(set, served + listener_count, accept_paused ? PAUSE_MS : -1) < 0) {
        return errno == EINTR;
    }
    accept_paused = false;

    /* From the end: closing moves the last connection into the gap, and the last one has had its step. */
    for (size_t i = served; i-- > 0;) {
        if (set[i].revents != 0 && connection_step(&connections[i], set[i].revents) == DONE) {
            connection_close(&connections[i]);
        }
    }
    for (size_t i = 0; i < listener_count; i++) {
        if (set[served + i].revents != 0 && is_accepting()) {
            accept_one(&listeners[i]);
        }
    }
    return true;
}

/* ---- the start ---- */

static int usage(const char *argument, const char *fault)
{
    fprintf(stderr,
        "demo-target: %s%s%s\n"
        "usage: demo-target NAME=PORT...   NAME is echo, fin, reset, source or sink; PORT 0 lets the system "
        "choose\n",
        argument, argument[0] != '\0' ? ": " : "", fault);
    return 2;
}

/* Reads "echo=0"; NULL when it is right, or else what is wrong with it. */
static const char *listener_parse(const char *argument, struct listener *out)
{
    const char *equals = strchr(argument, '=');
    if (equals == NULL) {
        return "write NAME=PORT";
    }
    const size_t name_len = (size_t)(equals - argument);
    size_t manner = 0;
    while (manner < MANNER_COUNT && (strlen(manner_names[manner]) != name_len ||
                                        memcmp(manner_names[manner], argument, name_len) != 0)) {
        manner++;
    }
    if (manner == MANNER_COUNT) {
        return "there is no such name";
    }
    const char *digits = equals + 1;
    const size_t digit_count = strspn(digits, "0123456789");
    const unsigned long port = strtoul(digits, NULL, 10);
    if (digit_count == 0 || digits[digit_count] != '\0' || port > UINT16_MAX) {
        return "the port is a number from 0 to 65535";
    }
    *out = (struct listener){.manner = (enum manner)manner, .port = (uint16_t)port, .fd = -1};
    return NULL;
}

/* Binds and listens, and learns the port where the system chose it. False with errno set. */
static bool listener_open(struct listener *l)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(l->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t address_len = sizeof address;
    const int on = 1;

    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(l->fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(l->fd, BACKLOG) < 0 ||
        getsockname(l->fd, (struct sockaddr *)&address, &address_len) < 0) {
        return false;
    }
    l->port = ntohs(address.sin_port);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return usage("", "nothing to listen on");
    }
    if (argc - 1 > LISTENER_MAX) {
        return usage("", "too many listeners");
    }
    for (int i = 1; i < argc; i++) {
        const char *fault = listener_parse(argv[i], &listeners[listener_count]);
        if (fault != NULL) {
            return usage(argv[i], fault);
        }
        listener_count++;
    }
    for (size_t i = 0; i < listener_count; i++) {
        if (!listener_open(&listeners[i])) {
            fprintf(stderr, "demo-target: cannot listen on 127.0.0.1:%u: %s\n", listeners[i].port,
                strerror(errno));
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (unsigned char)(i % PATTERN_PERIOD);
    }
    for (size_t i = 0; i < listener_count; i++) {
        printf("%s=%u\n", manner_names[listeners[i].manner], listeners[i].port);
    }
    if (fflush(stdout) != 0) {
        perror("demo-target: standard output");
        return 1;
    }
    while (turn()) {
    }
    perror("demo-target: poll");
    return 1;
}
