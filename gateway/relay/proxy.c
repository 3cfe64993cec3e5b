/* Who the client is where proxies stand in front: a PROXY header before everything else, and X-Forwarded-For
 * of each request. Both count from `trusted_proxies` alone, since anybody can send them. */
#include "proto/forwarded.h"
#include "proto/proxy_header.h"
#include "relay/session.h"
#include <string.h>

static bool is_trusted(const struct relay_door *door, const struct sock_peer *peer)
{
    const struct listen_rule *rule = door->rule;
    return peer->is_unix
               ? rule->trusts_unix
               : ip_net_list_contains(rule->trusted_proxies, rule->trusted_proxy_count, &peer->addr);
}

static void note_refused(
    struct relay *relay, const struct relay_door *door, const struct sock_peer *peer, const char *reason)
{
    session_log_proxy_refused(relay, door, peer, reason);
    tally_add(&relay->census->own->proxy_refused, 1);
}

bool proxy_admits(struct relay *relay, const struct relay_door *door, const struct sock_peer *peer)
{
    if (!door->rule->proxy_protocol || is_trusted(door, peer)) {
        return true;
    }
    tally_add(&relay->census->own->accepted, 1);
    note_refused(relay, door, peer, "it is not among the trusted_proxies, and this listener takes no others");
    return false;
}

void proxy_refuse(struct session *s, const char *reason)
{
    note_refused(s->relay, s->door, &s->peer, reason);
    session_close_side(s, &s->client, true);
    session_move(s, SESSION_DONE);
}

/* Takes the `n` bytes off the connection that were seen there. */
static bool take(struct session *s, uint8_t *to, size_t n)
{
    struct io_result result = transport_recv(s->client.io->fd, to, n);
    return result.status == IO_OK && result.n == n;
}

/* All of it is there. */
static void finish(struct session *s, const struct proxy_header *header)
{
    request_free(s);
    switch (header->kind) {
    case PROXY_SOURCE_OWN:
        break;
    case PROXY_SOURCE_INET:
        s->peer = (struct sock_peer){.addr = header->source, .port = header->source_port};
        break;
    case PROXY_SOURCE_UNIX:
        s->peer = (struct sock_peer){.is_unix = true};
        break;
    }
    session_begin(s);
}

static void ended(struct session *s)
{
    if (s->request != NULL) {
        proxy_refuse(s, "connection ended within its PROXY header");
    } else {
        session_move(s, SESSION_DONE); /* it was looked whether somebody listens */
    }
}

/* `at` bytes of the header were taken and `n` more are seen on the connection: all of them lie in scratch. */
static void read_header(struct session *s, size_t at, size_t n)
{
    uint8_t *bytes = s->relay->scratch;
    struct proxy_header header;
    switch (proxy_header_read(bytes, at + n, &header)) {
    case PROXY_MORE:
        if (!take(s, bytes + at, n) || !request_begin(s) || !buf_append(&s->request->bytes, bytes + at, n)) {
            proxy_refuse(s, "PROXY header could not be kept");
        }
        return;
    case PROXY_DONE:
        if (take(s, bytes + at, header.len - at)) {
            s->client.ready |= at + n > header.len ? LOOP_READ : 0; /* there is more */
            finish(s, &header);
        } else {
            proxy_refuse(s, "PROXY header could not be read");
        }
        return;
    case PROXY_BAD:
        proxy_refuse(s, header.phrase);
        return;
    }
}

void proxy_step(struct session *s)
{
    if ((s->client.ready & LOOP_READ) == 0) {
        return;
    }
    s->client.ready &= (uint8_t)~LOOP_READ;
    uint8_t *bytes = s->relay->scratch;
    size_t kept = s->request != NULL ? buf_len(&s->request->bytes) : 0;
    if (kept > 0) {
        memcpy(bytes, buf_data(&s->request->bytes), kept);
    }
    /* What follows the header is TLS's, or a request's: it stays where it is. */
    struct io_result result = transport_peek(s->client.io->fd, bytes + kept, PROXY_HEADER_MAX - kept);
    switch (result.status) {
    case IO_OK:
        read_header(s, kept, result.n);
        return;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        return;
    case IO_EOF:
    case IO_FAIL:
        ended(s);
        return;
    }
}

bool proxy_forwarded(struct session *s)
{
    const struct listen_rule *rule = s->door->rule;
    const struct session_request *request = s->request;
    struct forwarded found;
    if (!is_trusted(s->door, &request->through)) {
        return true;
    }
    switch (forwarded_read(&request->http, (const char *)buf_data(&request->bytes), rule->trusted_proxies,
        rule->trusted_proxy_count, &found)) {
    case FORWARDED_NONE:
        return true;
    case FORWARDED_CLIENT:
        s->peer = (struct sock_peer){.addr = found.client, .port = found.port};
        return true;
    case FORWARDED_BAD:
        break;
    }
    return false;
}
