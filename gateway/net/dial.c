#include "base/clock.h"
#include "base/ip.h"
#include "net/dial_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The outcome. */

/* How much a failure tells: what a target itself answered comes first. */
static int worth(enum dial_status status)
{
    switch (status) {
    case DIAL_TLS:
        return 6;
    case DIAL_REFUSED:
        return 5;
    case DIAL_OVERLOAD:
        return 4;
    case DIAL_DNS:
        return 3;
    case DIAL_UNREACHABLE:
        return 2;
    case DIAL_TIMEOUT:
        return 1;
    case DIAL_OK:
        break;
    }
    return 0;
}

void dial_note(struct dial *dial, enum dial_status status, const char *where, const char *what)
{
    if (worth(status) > worth(dial->outcome)) {
        dial->outcome = status;
    }
    text_addf(&dial->detail, "%s%s: %s", dial->detail.len > 0 ? "; " : "", where, what);
}

static void note_target(struct dial *dial, enum dial_status status, const char *what)
{
    char where[ENDPOINT_TEXT_MAX];
    endpoint_format(&dial->target, where);
    dial_note(dial, status, where, what);
}

/* Ends all that is under way; the transport is kept. */
static void stop(struct dial *dial)
{
    if (dial->job != NULL) {
        resolve_cancel(dial->job);
        dial->job = NULL;
    }
    dial_connect_stop(dial);
    if (dial->transport != NULL) {
        loop_forget_handing(dial->host.loop, &dial->watch);
    }
    wheel_cancel(&dial->deadline);
    wheel_cancel(&dial->next);
}

void dial_cancel(struct dial *dial)
{
    stop(dial);
    if (dial->transport != NULL) {
        dial->transport->ops->close(dial->transport, false);
    }
    free(dial);
}

/* Nothing is left of the dial but its memory, which the detail needs, when the callee hears of it. */
static void tell(struct dial *dial)
{
    struct transport *transport = dial->transport;
    stop(dial);
    dial->transport = NULL;
    if (dial->outcome != DIAL_OK && transport != NULL) {
        transport->ops->close(transport, false);
        transport = NULL;
    }
    dial->done(dial->context, dial->outcome, transport, dial->detail_array);
    free(dial);
}

void dial_settle(struct dial *dial, uint64_t now_ms)
{
    if (!dial->starting) {
        tell(dial);
        return;
    }
    dial->phase = DIAL_SETTLED;
    wheel_cancel(&dial->deadline);
    wheel_arm(dial->host.wheel, &dial->next, now_ms);
}

/* ---- TLS. */

static void shake_hands(struct dial *dial)
{
    struct transport *transport = dial->transport;
    struct io_result result = transport->ops->handshake(transport);
    unsigned wanted = 0;
    switch (result.status) {
    case IO_OK:
        tell(dial);
        return;
    case IO_WANT_READ:
        wanted = LOOP_READ;
        break;
    case IO_WANT_WRITE:
        wanted = LOOP_WRITE;
        break;
    case IO_EOF:
    case IO_FAIL:
        note_target(dial, DIAL_TLS, transport->ops->fault(transport));
        tell(dial);
        return;
    }
    if (!loop_want(dial->host.loop, &dial->watch, wanted)) {
        note_target(dial, DIAL_OVERLOAD, "no memory");
        tell(dial);
    }
}

/* ---- What is sent first. */

/* One that takes nothing any more is connected all the same: what it has said is still to be read, and its
 * end is the reader's to see. */
static void send_prelude(struct dial *dial)
{
    struct transport *transport = dial->transport;
    while (dial->prelude_sent < dial->prelude_bytes) {
        struct io_result result = transport_send(
            transport->fd, dial->prelude + dial->prelude_sent, dial->prelude_bytes - dial->prelude_sent);
        if (result.status == IO_OK) {
            dial->prelude_sent += result.n;
        } else if (result.status == IO_FAIL) {
            transport->reset = transport->reset || result.err == ECONNRESET;
            break;
        } else if (loop_want(dial->host.loop, &dial->watch, LOOP_WRITE)) {
            return;
        } else {
            note_target(dial, DIAL_OVERLOAD, "no memory");
            tell(dial);
            return;
        }
    }
    dial->phase = DIAL_SHAKING_HANDS;
    shake_hands(dial); /* a plain one is done with it */
}

static void transport_ready(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct dial *dial = CONTAINER_OF(watch, struct dial, watch);
    if (dial->phase == DIAL_SENDING_PRELUDE) {
        send_prelude(dial);
    } else {
        shake_hands(dial);
    }
}

void dial_connected(struct dial *dial, int fd, bool reset)
{
    /* A failure from here on is this connection's; those before it were got over. */
    dial->outcome = DIAL_OK;
    text_init(&dial->detail, dial->detail_array, sizeof dial->detail_array);
    wheel_cancel(&dial->next);
    dial->phase = DIAL_SENDING_PRELUDE;
    dial->transport = dial->tls != NULL ? tls_connect_new(dial->tls, fd) : transport_plain_new(fd);
    if (dial->transport == NULL) {
        close(fd);
        note_target(dial, DIAL_OVERLOAD, "no memory");
        tell(dial);
        return;
    }
    dial->transport->reset = reset;
    loop_watch_init(&dial->watch, fd, transport_ready);
    send_prelude(dial);
}

/* ---- Look-up, and the time. */

static void looked_up(void *context, int error, const struct addrinfo *addresses)
{
    struct dial *dial = context;
    dial->job = NULL;
    uint64_t now_ms = clock_now_ms();
    if (error == 0) {
        dial_connect_take(dial, addresses);
    }
    if (dial->address_count == 0) {
        const char *what = error != 0 ? gai_strerror(error) : "the name has no address";
        note_target(dial, error == EAI_MEMORY ? DIAL_OVERLOAD : DIAL_DNS, what);
        tell(dial);
        return;
    }
    dial->phase = DIAL_CONNECTING;
    dial_connect_next(dial, now_ms);
}

static void deadline_passed(struct wheel_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct dial *dial = CONTAINER_OF(timer, struct dial, deadline);
    static const char *const doing[] = {
        [DIAL_LOOKING_UP] = "looking up its name",
        [DIAL_CONNECTING] = "connecting",
        [DIAL_SENDING_PRELUDE] = "taking the first bytes",
        [DIAL_SHAKING_HANDS] = "the TLS handshake",
        [DIAL_SETTLED] = "failing",
    };
    char what[64];
    (void)snprintf(
        what, sizeof what, "%s took over %llu ms", doing[dial->phase], (unsigned long long)dial->timeout_ms);
    dial_connect_note_open(dial);
    note_target(dial, DIAL_TIMEOUT, what);
    /* That one address cannot be reached says less than that another one is silent. */
    if (dial->outcome != DIAL_REFUSED) {
        dial->outcome = DIAL_TIMEOUT;
    }
    tell(dial);
}

static void next_due(struct wheel_timer *timer, uint64_t now_ms)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, next);
    if (dial->phase == DIAL_SETTLED) {
        tell(dial);
    } else {
        dial_connect_next(dial, now_ms);
    }
}

/* ---- The start. */

/* An address as it stands; false: a name. */
static bool take_numeric(struct dial *dial)
{
    struct ip_addr ip;
    if (!ip_parse(slice_from(dial->target.host), &ip)) {
        return false;
    }
    struct dial_address *address = &dial->addresses[dial->address_count++];
    if (ip_is_v4(&ip)) {
        address->len = sizeof address->of.in;
        address->of.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(dial->target.port)};
        memcpy(&address->of.in.sin_addr, ip.bytes + 12, 4);
    } else {
        address->len = sizeof address->of.in6;
        address->of.in6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(dial->target.port)};
        memcpy(&address->of.in6.sin6_addr, ip.bytes, sizeof ip.bytes);
    }
    return true;
}

static void begin(struct dial *dial, uint64_t now_ms)
{
    if (dial->target.kind == ENDPOINT_UNIX || take_numeric(dial)) {
        dial->phase = DIAL_CONNECTING;
        dial_connect_next(dial, now_ms);
        return;
    }
    dial->phase = DIAL_LOOKING_UP;
    dial->job = resolve_start(dial->host.resolver, dial->target.host, dial->target.port, looked_up, dial);
    if (dial->job == NULL) {
        note_target(dial, DIAL_OVERLOAD, "no memory, or too many look-ups at once");
        dial_settle(dial, now_ms);
    }
}

struct dial *dial_start(const struct dial_host *host, const struct dial_order *order, uint64_t now_ms,
    dial_done_fn *done, void *context)
{
    assert(order->prelude_bytes <= DIAL_PRELUDE_MAX);
    struct dial *dial = calloc(1, sizeof *dial + order->prelude_bytes);
    if (dial == NULL) {
        return NULL;
    }
    dial->host = *host;
    dial->target = *order->target;
    dial->tls = order->tls;
    dial->egress = order->egress;
    dial->done = done;
    dial->context = context;
    dial->timeout_ms = order->timeout_ms;
    dial->prelude_bytes = order->prelude_bytes;
    if (order->prelude_bytes > 0) {
        memcpy(dial->prelude, order->prelude, order->prelude_bytes);
    }
    dial->outcome = DIAL_OK;
    text_init(&dial->detail, dial->detail_array, sizeof dial->detail_array);
    wheel_timer_init(&dial->deadline, deadline_passed);
    wheel_timer_init(&dial->next, next_due);
    uint64_t due_ms = order->timeout_ms < CLOCK_NEVER - now_ms ? now_ms + order->timeout_ms : CLOCK_NEVER;
    wheel_arm(host->wheel, &dial->deadline, due_ms);
    dial->starting = true;
    begin(dial, now_ms);
    dial->starting = false;
    return dial;
}
