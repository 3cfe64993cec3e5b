/* One connection's life. */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { SEND_BUDGET = 256 * 1024 };

void load_fail(const struct load *load, const struct conn *conn, const char *why)
{
    static const char *const states[] = {"new", "connecting", "tls", "upgrade", "open", "closing", "done"};
    fprintf(stderr, "load: connection %ld of %u, %s: %s; %llu bytes were sent, %llu received\n",
        (long)(conn - load->conns), load->count, states[conn->state], why,
        (unsigned long long)conn_payload_sent(load, conn), (unsigned long long)conn->in.received);
    if (conn->state == STATE_UPGRADE) {
        fprintf(stderr, "load: it answered: %.200s\n", conn->in.head);
    }
    exit(1);
}

uint64_t conn_payload_sent(const struct load *load, const struct conn *conn)
{
    return conn->wire_sent / load->ring.frame_wire * load->ring.frame;
}

/* Who downloads lets the source end, and answers then. */
static bool may_close(const struct conn *conn)
{
    return conn->state == STATE_CLOSING && !conn->close_said && !link_unsent(&conn->link) &&
           (conn->kind != KIND_DOWNLOAD || conn->in.closed);
}

static void watch(struct load *load, struct conn *conn, int op)
{
    bool sends = conn->state == STATE_CONNECTING || conn->wire_sent < conn->wire_goal ||
                 link_unsent(&conn->link) || may_close(conn);
    uint32_t wanted = EPOLLIN | (sends ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.ptr = conn};
    if (op == EPOLL_CTL_MOD && wanted == conn->events) {
        return;
    }
    if (epoll_ctl(load->poller, op, conn->link.fd, &event) != 0) {
        load_fail(load, conn, "epoll_ctl failed");
    }
    conn->events = wanted;
}

void conn_start(struct load *load, struct conn *conn, enum kind kind)
{
    SSL_SESSION *known = conn->link.known;
    const struct options *o = &load->options;
    *conn = (struct conn){.link = {.fd = -1, .known = known},
        .state = STATE_CONNECTING,
        .kind = kind,
        .since_ns = measure_now_ns(),
        .in = {.framed = o->ws}};
    if (!link_open(&conn->link, o->port, o->tls, o->resume)) {
        perror("load: connect");
        load_fail(load, conn, "cannot connect");
    }
    load->opening++;
    watch(load, conn, EPOLL_CTL_ADD);
}

static void note_trip(struct load *load, const struct conn *conn)
{
    if (load->measuring) {
        measure_times_add(&load->times, measure_now_ns() - conn->since_ns);
    }
}

static void opened(struct load *load, struct conn *conn)
{
    conn->state = STATE_OPEN;
    load->opening--;
    switch (conn->kind) {
    case KIND_PINGPONG:
        conn->since_ns = measure_now_ns();
        conn->wire_goal = load->stopping ? 0 : load->ring.frame_wire;
        break;
    case KIND_CHURN:
    case KIND_IDLE:
        conn->wire_goal = load->ring.frame_wire;
        break;
    case KIND_UPLOAD:
    case KIND_ECHO:
        conn->wire_goal = load->stopping ? 0 : UINT64_MAX;
        break;
    case KIND_DOWNLOAD:
        break;
    }
}

static void send_request(struct load *load, struct conn *conn)
{
    char request[WS_HEAD_MAX];
    size_t n = ws_request(request, load->options.path);
    size_t taken = 0;
    if (n == 0 || link_write(&conn->link, (const uint8_t *)request, n, &taken) != LINK_OK || taken < n) {
        load_fail(load, conn, "the request could not be sent");
    }
}

/* From connecting to open. */
static void open_step(struct load *load, struct conn *conn, uint32_t events)
{
    if (conn->state == STATE_CONNECTING) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
            load_fail(load, conn, "the connection was refused");
        }
        conn->state = STATE_TLS;
    }
    if (conn->state == STATE_TLS) {
        enum link_status status = link_handshake(&conn->link);
        if (status == LINK_LATER) {
            return;
        }
        if (status != LINK_OK) {
            load_fail(load, conn, "the TLS handshake failed");
        }
        load->handshakes++;
        load->cipher = conn->link.ssl == NULL ? NULL : SSL_get_cipher_name(conn->link.ssl);
        load->resumed += conn->link.ssl != NULL && SSL_session_reused(conn->link.ssl) == 1;
        conn->state = STATE_UPGRADE;
        if (conn->in.framed) {
            send_request(load, conn);
        } else {
            opened(load, conn);
        }
    }
}

/* A frame is back. */
static void came_round(struct load *load, struct conn *conn)
{
    switch (conn->kind) {
    case KIND_PINGPONG:
        note_trip(load, conn);
        load->trips++;
        if (!load->stopping) {
            conn->since_ns = measure_now_ns();
            conn->wire_goal += load->ring.frame_wire;
        }
        break;
    case KIND_CHURN:
        note_trip(load, conn);
        conn_finish(load, conn);
        break;
    case KIND_UPLOAD:
    case KIND_DOWNLOAD:
    case KIND_ECHO:
    case KIND_IDLE:
        break;
    }
}

static void gone(struct load *load, struct conn *conn)
{
    link_close(&conn->link);
    conn->state = STATE_DONE;
    load->done++;
    if (conn->kind == KIND_CHURN) {
        load->trips++;
        if (!load->stopping) {
            load->done--;
            load->past_sent += conn_payload_sent(load, conn);
            conn_start(load, conn, KIND_CHURN);
        }
    }
}

/* False: the connection is over. */
static bool receive(struct load *load, struct conn *conn)
{
    uint8_t *bytes;
    size_t n = 0;
    enum link_status status = link_read(&conn->link, &bytes, &n);
    if (status == LINK_LATER) {
        return true;
    }
    if (status == LINK_ENDED || status == LINK_BROKEN) {
        if (conn->state != STATE_CLOSING || (conn->in.framed && !conn->in.closed)) {
            load_fail(load, conn, status == LINK_ENDED ? "it was ended" : "it was reset");
        }
        gone(load, conn);
        return false;
    }
    uint64_t before = conn->in.received;
    const char *wrong = ws_take(&conn->in, bytes, n);
    if (wrong != NULL) {
        load_fail(load, conn, wrong);
    }
    if (conn->state == STATE_UPGRADE && conn->in.upgraded) {
        opened(load, conn);
    }
    if (conn->in.closed && conn->state != STATE_CLOSING) {
        load_fail(load, conn, "a Close came");
    }
    load->received += conn->in.received - before;
    if (conn->in.received > before && conn->wire_sent == conn->wire_goal &&
        conn->in.received == conn_payload_sent(load, conn)) {
        came_round(load, conn);
    }
    return true;
}

static void send_frames(struct load *load, struct conn *conn)
{
    const struct ws_ring *ring = &load->ring;
    uint64_t budget_end = conn->wire_sent + SEND_BUDGET;
    while (conn->wire_sent < conn->wire_goal && conn->wire_sent < budget_end) {
        size_t from = (size_t)(conn->wire_sent % ring->len);
        uint64_t left = conn->wire_goal - conn->wire_sent;
        size_t n = left < ring->len - from ? (size_t)left : ring->len - from;
        size_t taken = 0;
        if (link_write(&conn->link, ring->bytes + from, n, &taken) != LINK_OK) {
            load_fail(load, conn, "sending failed");
        }
        conn->wire_sent += taken;
        if (taken < n) {
            break;
        }
    }
}

static void say_close(struct load *load, struct conn *conn)
{
    size_t taken = 0;
    if (!may_close(conn)) {
        return;
    }
    conn->close_said = true;
    if (!conn->in.framed) {
        link_shut(&conn->link);
    } else if (link_write(&conn->link, ws_close_frame, WS_CLOSE_FRAME_LEN, &taken) != LINK_OK ||
               taken < WS_CLOSE_FRAME_LEN) {
        load_fail(load, conn, "the Close frame could not be sent");
    }
}

void conn_step(struct load *load, struct conn *conn, uint32_t events)
{
    if (conn->state == STATE_CONNECTING || conn->state == STATE_TLS) {
        open_step(load, conn, events);
    } else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receive(load, conn)) {
        return;
    }
    if ((events & EPOLLOUT) != 0 && link_unsent(&conn->link)) {
        size_t none = 0;
        (void)link_write(&conn->link, NULL, 0, &none);
    }
    if ((events & EPOLLOUT) != 0 || (conn->events & EPOLLOUT) == 0) {
        send_frames(load, conn);
    }
    say_close(load, conn);
    watch(load, conn, EPOLL_CTL_MOD);
}

void conn_stop(struct load *load, struct conn *conn)
{
    if (conn->wire_goal == UINT64_MAX) {
        uint64_t frame = load->ring.frame_wire;
        conn->wire_goal = (conn->wire_sent + frame - 1) / frame * frame;
        watch(load, conn, EPOLL_CTL_MOD);
    }
}

void conn_finish(struct load *load, struct conn *conn)
{
    if (conn->state != STATE_OPEN) {
        return;
    }
    conn->state = STATE_CLOSING;
    say_close(load, conn);
    watch(load, conn, EPOLL_CTL_MOD);
}
