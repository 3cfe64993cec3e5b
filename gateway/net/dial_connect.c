#include "base/clock.h"
#include "net/dial_internal.h"
#include "net/sock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STAGGER_MS = 250, /* RFC 8305 8, Connection Attempt Delay */
    BACKLOG_RETRY_MS = 20,
};

static void attempt_ready(struct loop_watch *watch, unsigned ready);

/* ---- Addresses. */

static bool take_one(struct dial *dial, const struct addrinfo *found)
{
    struct dial_address *address = &dial->addresses[dial->address_count];
    if (dial->address_count == DIAL_ADDRESSES_MAX || found->ai_addrlen > sizeof address->of) {
        return false;
    }
    address->len = found->ai_addrlen;
    memcpy(&address->of, found->ai_addr, found->ai_addrlen);
    dial->address_count++;
    return true;
}

static bool is_of(const struct addrinfo *one, bool first_family, int family)
{
    return (one->ai_family == AF_INET || one->ai_family == AF_INET6) &&
           (one->ai_family == family) == first_family;
}

/* The system's order is kept within each family, and its first address is ours. */
void dial_connect_take(struct dial *dial, const struct addrinfo *found)
{
    const struct addrinfo *first = found, *other = found;
    int family = found != NULL ? found->ai_family : AF_UNSPEC;
    while (first != NULL || other != NULL) {
        while (first != NULL && !is_of(first, true, family)) {
            first = first->ai_next;
        }
        if (first != NULL) {
            (void)take_one(dial, first);
            first = first->ai_next;
        }
        while (other != NULL && !is_of(other, false, family)) {
            other = other->ai_next;
        }
        if (other != NULL) {
            (void)take_one(dial, other);
            other = other->ai_next;
        }
    }
}

/* ---- Attempts. */

static enum dial_status status_of(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return DIAL_REFUSED;
    case ETIMEDOUT:
        return DIAL_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
    case EAGAIN: /* no local port; a unix target's full backlog is no failure yet and does not come here */
        return DIAL_OVERLOAD;
    default:
        return DIAL_UNREACHABLE;
    }
}

static void attempt_name(const struct dial_attempt *attempt, char out[ENDPOINT_TEXT_MAX])
{
    const struct dial *dial = attempt->dial;
    if (dial->target.kind == ENDPOINT_UNIX) {
        endpoint_format(&dial->target, out);
        return;
    }
    struct sockaddr_storage address = {0};
    memcpy(&address, &dial->addresses[attempt->address].of, dial->addresses[attempt->address].len);
    struct sock_peer peer = sock_peer_from(&address);
    char text[SOCK_TEXT_MAX];
    sock_peer_format(&peer, text);
    struct text to;
    text_init(&to, out, ENDPOINT_TEXT_MAX);
    text_add(&to, slice_from(text));
}

static void note_attempt(const struct dial_attempt *attempt, enum dial_status status, const char *what)
{
    char name[ENDPOINT_TEXT_MAX];
    attempt_name(attempt, name);
    dial_note(attempt->dial, status, name, what);
}

/* The descriptor is not closed, but handed on or closed by the caller at once. */
static int attempt_leave(struct dial_attempt *attempt)
{
    struct dial *dial = attempt->dial;
    loop_forget_handing(dial->host.loop, &attempt->watch);
    attempt->open = false;
    dial->open_count--;
    return attempt->watch.fd;
}

void dial_connect_stop(struct dial *dial)
{
    for (size_t i = 0; i < dial->tried; i++) {
        if (dial->attempts[i].open) {
            close(attempt_leave(&dial->attempts[i]));
        }
    }
}

void dial_connect_note_open(struct dial *dial)
{
    for (size_t i = 0; i < dial->tried; i++) {
        if (dial->attempts[i].open) {
            note_attempt(&dial->attempts[i], DIAL_TIMEOUT, "no answer");
        }
    }
}

static int start_connect(const struct dial *dial, int fd, size_t at)
{
    int rc;
    if (dial->target.kind == ENDPOINT_UNIX) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, dial->target.path, strlen(dial->target.path));
        rc = connect(fd, (const struct sockaddr *)&address, sizeof address);
    } else {
        sock_no_delay(fd);
        rc = connect(fd, &dial->addresses[at].of.any, dial->addresses[at].len);
    }
    /* Interrupted, a connect(2) goes on by itself. One that is done already is told by the loop as any other.
     */
    return rc == 0 || errno == EINPROGRESS || errno == EINTR ? 0 : errno;
}

/* 0: under way. Else an errno, and nothing is left of it. */
static int attempt_start(struct dial *dial, size_t at)
{
    int family = dial->target.kind == ENDPOINT_UNIX ? AF_UNIX : dial->addresses[at].of.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    struct dial_attempt *attempt = &dial->attempts[at];
    int err = start_connect(dial, fd, at);
    if (err == 0) {
        loop_watch_init(&attempt->watch, fd, attempt_ready);
        err = loop_want(dial->host.loop, &attempt->watch, LOOP_WRITE | LOOP_HANGUP) ? 0 : ENOMEM;
    }
    if (err != 0) {
        close(fd);
        return err;
    }
    attempt->open = true;
    dial->open_count++;
    return 0;
}

/* What is judged here is what is connected to: nothing is looked up again between the two. */
static bool is_denied(const struct dial_attempt *attempt)
{
    static const struct egress built_in = {0};
    const struct dial *dial = attempt->dial;
    const struct dial_address *address = &dial->addresses[attempt->address];
    struct sockaddr_storage copy = {0};
    memcpy(&copy, &address->of, address->len);
    struct sock_peer peer = sock_peer_from(&copy);
    enum egress_verdict verdict = egress_judge(dial->egress != NULL ? dial->egress : &built_in, &peer.addr);
    if (verdict == EGRESS_ALLOWED) {
        return false;
    }
    char what[64];
    (void)snprintf(what, sizeof what, "denied by egress (%s)", egress_phrase(verdict));
    note_attempt(attempt, DIAL_UNREACHABLE, what);
    return true;
}

static void next_unix(struct dial *dial, uint64_t now_ms)
{
    dial->tried = 1;
    dial->attempts[0] = (struct dial_attempt){.dial = dial};
    int err = attempt_start(dial, 0);
    if (err == EAGAIN) {
        /* The backlog is full and the kernel has no queue for us: there is nothing to wait for but time. */
        wheel_arm(dial->host.wheel, &dial->next, now_ms + BACKLOG_RETRY_MS);
    } else if (err != 0) {
        note_attempt(&dial->attempts[0], status_of(err), strerror(err));
        dial_settle(dial, now_ms);
    }
}

void dial_connect_next(struct dial *dial, uint64_t now_ms)
{
    wheel_cancel(&dial->next);
    if (dial->target.kind == ENDPOINT_UNIX) {
        next_unix(dial, now_ms);
        return;
    }
    while (dial->tried < dial->address_count) {
        size_t at = dial->tried++;
        dial->attempts[at] = (struct dial_attempt){.dial = dial, .address = at};
        if (is_denied(&dial->attempts[at])) {
            continue;
        }
        int err = attempt_start(dial, at);
        if (err == 0) {
            break;
        }
        note_attempt(&dial->attempts[at], status_of(err), strerror(err));
    }
    if (dial->tried < dial->address_count) {
        wheel_arm(dial->host.wheel, &dial->next, now_ms + STAGGER_MS);
    } else if (dial->open_count == 0) {
        dial_settle(dial, now_ms);
    }
}

/* 0 once connected, else why not. SO_ERROR would not do: it also tells, and then forgets, that a target which
 * accepted has reset since. Its last bytes are still to be read, and the reset is the reader's to see. */
static int connect_error(int fd, bool *reset)
{
    char byte;
    *reset = false;
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno == EAGAIN || errno == EWOULDBLOCK) {
        return 0;
    }
    *reset = errno == ECONNRESET || errno == EPIPE;
    return *reset ? 0 : errno;
}

static void attempt_ready(struct loop_watch *watch, unsigned ready)
{
    struct dial_attempt *attempt = CONTAINER_OF(watch, struct dial_attempt, watch);
    struct dial *dial = attempt->dial;
    bool reset = false;
    int err = (ready & LOOP_HANGUP) != 0 ? connect_error(watch->fd, &reset) : 0;
    int fd = attempt_leave(attempt);
    if (err == 0) {
        dial_connect_stop(dial);
        dial_connected(dial, fd, reset);
        return;
    }
    close(fd);
    note_attempt(attempt, status_of(err), strerror(err));
    uint64_t now_ms = clock_now_ms();
    if (dial->target.kind == ENDPOINT_UNIX) {
        dial_settle(dial, now_ms);
    } else {
        dial_connect_next(dial, now_ms);
    }
}
