/* The scripted transport, and the dialer that hands it out. The bench is in script_bench.c. */
#include "script_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

volatile unsigned script_busy;

const struct script_habit script_easy = {.name = "easy", .read_piece = SCRIPT_ALL, .write_piece = SCRIPT_ALL};

const struct script_habit script_habits[] = {
    {.name = "easy", .read_piece = SCRIPT_ALL, .write_piece = SCRIPT_ALL},
    {.name = "reads 1", .read_piece = 1, .write_piece = SCRIPT_ALL},
    {.name = "writes 1", .read_piece = SCRIPT_ALL, .write_piece = 1},
    {.name = "reads 1, writes 1, wants", .read_piece = 1, .write_piece = 1, .wants = true},
    {.name = "wants", .read_piece = SCRIPT_ALL, .write_piece = SCRIPT_ALL, .wants = true},
    {.name = "reads 7, writes 5", .read_piece = 7, .write_piece = 5},
    {.name = "tls", .read_piece = SCRIPT_ALL, .write_piece = 3, .burst = 100, .keeps = true},
    {.name = "tls, reads 1, wants",
        .read_piece = 1,
        .write_piece = 1,
        .burst = 11,
        .wants = true,
        .keeps = true},
};
const size_t script_habit_count = sizeof script_habits / sizeof script_habits[0];

static struct script_side *side_of(const struct transport *t)
{
    return ((const struct script_transport *)(const void *)t)->side;
}

static struct io_result answer(enum io_status status, size_t n)
{
    return (struct io_result){status, n, status == IO_FAIL ? ECONNRESET : 0};
}

/* A peer that takes nothing any more without having reset shows by EPIPE. */
static struct io_result failed(const struct script_side *side)
{
    return (struct io_result){IO_FAIL, 0, side->deaf ? EPIPE : ECONNRESET};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Counts the call. True: it is to fail. */
static bool called(struct script_side *side, bool is_read)
{
    struct bench *b = side->bench;
    if (++b->calls == b->fail_at && (is_read || !b->fail_by_eof)) {
        b->failed = side;
        if (b->fail_by_eof) {
            buf_fini(&side->said);
            side->held = 0;
            side->end = SCRIPT_EOF;
        } else {
            side->broken = true;
        }
    }
    return side->broken || (!is_read && (side->deaf || side->end == SCRIPT_RESET));
}

static bool wants_first(struct script_side *side)
{
    side->want_next = !side->want_next;
    return side->habit.wants && side->want_next;
}

static void gather(struct buf *to, const void *from, size_t n)
{
    script_busy++;
    assert_true(buf_append(to, from, n));
    script_busy--;
}

/* What the peer's system takes now. */
static size_t give(struct script_side *side, const void *from, size_t len)
{
    size_t n = least(least(len, side->habit.write_piece), side->room);
    if (side->room != SCRIPT_ALL) {
        side->room -= n;
    }
    gather(&side->heard, from, n);
    return n;
}

static struct io_result script_handshake(struct transport *t)
{
    struct script_side *side = side_of(t);
    if (called(side, false)) {
        return failed(side);
    }
    if (*side->handshake == '\0') {
        side->transport->waits = '\0';
        return answer(IO_OK, 0);
    }
    side->transport->waits = *side->handshake++;
    return answer(side->transport->waits == 'w' ? IO_WANT_WRITE : IO_WANT_READ, 0);
}

static struct io_result script_read(struct transport *t, void *to, size_t cap)
{
    struct script_side *side = side_of(t);
    assert_true(cap > 0);
    side->reads++;
    if (called(side, true)) {
        return failed(side);
    }
    size_t there = buf_len(&side->said);
    if (there > 0 && wants_first(side)) {
        return answer(IO_WANT_READ, 0);
    }
    if (there == 0) {
        return answer(side->end == SCRIPT_STAYS ? IO_WANT_READ
                      : side->end == SCRIPT_EOF ? IO_EOF
                                                : IO_FAIL,
            0);
    }
    if (side->held == 0 && side->habit.burst > 0) {
        side->held = least(there, side->habit.burst);
    }
    size_t n = least(least(cap, side->habit.read_piece), side->habit.burst > 0 ? side->held : there);
    memcpy(to, buf_data(&side->said), n);
    buf_take(&side->said, n);
    side->held -= side->habit.burst > 0 ? n : 0;
    return answer(IO_OK, n);
}

static struct io_result flush(struct script_side *side)
{
    size_t n = give(side, buf_data(&side->unsent), buf_len(&side->unsent));
    buf_take(&side->unsent, n);
    if (buf_len(&side->unsent) == 0 && side->room > 0) {
        side->notify -= side->notify > 0; /* a byte each time */
    }
    return answer(buf_len(&side->unsent) + side->notify > 0 ? IO_WANT_WRITE : IO_OK, 0);
}

static struct io_result script_write(struct transport *t, const void *from, size_t len)
{
    struct script_side *side = side_of(t);
    assert_true(len > 0);
    assert_false(side->shut || side->notified);
    if (called(side, false)) {
        return failed(side);
    }
    if (side->habit.keeps) {
        if (flush(side).status != IO_OK) {
            return answer(IO_WANT_WRITE, 0);
        }
        size_t n = give(side, from, len);
        gather(&side->unsent, (const uint8_t *)from + n, len - n);
        return answer(IO_OK, len);
    }
    if (side->room == 0 || wants_first(side)) {
        return answer(IO_WANT_WRITE, 0);
    }
    return answer(IO_OK, give(side, from, len));
}

static struct io_result script_flush(struct transport *t)
{
    struct script_side *side = side_of(t);
    return called(side, false) ? failed(side) : flush(side);
}

static struct io_result script_shutdown(struct transport *t)
{
    struct script_side *side = side_of(t);
    assert_int_equal(0, buf_len(&side->unsent) + side->notify);
    if (called(side, false)) {
        return failed(side);
    }
    if (side->habit.keeps && !side->notified) {
        side->notified = true;
        side->notify = 2;
        return answer(IO_WANT_WRITE, 0);
    }
    assert_false(side->shut);
    side->shut = true;
    if (side->polite && side->end == SCRIPT_STAYS) {
        side->end = SCRIPT_EOF;
    }
    return answer(IO_OK, 0);
}

static size_t script_pending(const struct transport *t)
{
    return side_of(t)->held;
}

static size_t script_unsent(const struct transport *t)
{
    return buf_len(&side_of(t)->unsent) + side_of(t)->notify;
}

static void script_close(struct transport *t, bool reset)
{
    struct script_side *side = side_of(t);
    assert_false(side->closed);
    side->closed = true;
    side->reset = reset;
    free(side->transport);
    side->transport = NULL;
}

static const char *script_fault(const struct transport *t)
{
    return side_of(t)->broken ? "broken by the script" : "";
}

/* ---- By splice(2), through real pipes. */

static struct io_result unable(void)
{
    return (struct io_result){IO_FAIL, 0, EINVAL};
}

static struct io_result script_read_pipe(struct transport *t, struct splice_pipe *pipe, size_t cap)
{
    static uint8_t bytes[RELAY_READ_MAX];
    assert_int_equal(0, pipe->held_bytes);
    if (side_of(t)->unable) {
        return unable();
    }
    struct io_result result = script_read(t, bytes, least(cap, sizeof bytes));
    if (result.status == IO_OK) {
        assert_int_equal(result.n, write(pipe->write_fd, bytes, result.n));
        pipe->held_bytes = (uint32_t)result.n;
    }
    return result;
}

static struct io_result script_write_pipe(struct transport *t, struct splice_pipe *pipe)
{
    static uint8_t bytes[RELAY_READ_MAX];
    struct script_side *side = side_of(t);
    assert_true(pipe->held_bytes > 0);
    if (side->unable) {
        return unable();
    }
    if (called(side, false)) {
        return failed(side);
    }
    size_t n = least(least(pipe->held_bytes, side->habit.write_piece), side->room);
    if (n == 0 || wants_first(side)) {
        return answer(IO_WANT_WRITE, 0);
    }
    assert_int_equal(n, read(pipe->read_fd, bytes, n));
    pipe->held_bytes -= (uint32_t)n;
    return answer(IO_OK, give(side, bytes, n));
}

#define SCRIPT_OPS                                                                                           \
    .handshake = script_handshake, .read = script_read, .write = script_write, .write_last = script_write,   \
    .flush = script_flush, .shutdown = script_shutdown, .pending = script_pending, .unsent = script_unsent,  \
    .close = script_close, .fault = script_fault

static const struct transport_ops script_ops = {
    SCRIPT_OPS, .read_pipe = script_read_pipe, .write_head = script_write, .write_pipe = script_write_pipe};
static const struct transport_ops script_tls_ops = {SCRIPT_OPS};

struct transport *script_connect(struct script_side *side)
{
    script_busy++;
    side->transport = calloc(1, sizeof *side->transport);
    script_busy--;
    assert_non_null(side->transport);
    side->transport->transport =
        (struct transport){.ops = side->habit.keeps ? &script_tls_ops : &script_ops, .fd = side->fd};
    side->transport->side = side;
    return &side->transport->transport;
}

unsigned script_ready(const struct script_side *side)
{
    if (side->broken) {
        return LOOP_READ | LOOP_WRITE | LOOP_HANGUP;
    }
    switch (side->transport->waits) {
    case 'r':
        return LOOP_READ;
    case 'w':
        return LOOP_WRITE;
    case 's':
        return 0;
    }
    unsigned ready = 0;
    if (buf_len(&side->said) > side->held || side->end != SCRIPT_STAYS) {
        ready |= LOOP_READ;
    }
    if (side->room > 0 || side->deaf || side->end == SCRIPT_RESET) {
        ready |= LOOP_WRITE;
    }
    return ready | (side->end != SCRIPT_STAYS ? (unsigned)LOOP_HANGUP : 0U);
}

/* ---- The dialer. */

static void note_dialed(struct bench *b)
{
    size_t at = strlen(b->dialed);
    (void)snprintf(b->dialed + at, sizeof b->dialed - at, "%u", b->dial_target);
}

struct dial {
    dial_done_fn *done;
    void *context;
};

static struct bench *bench_of(const struct relay *relay)
{
    return CONTAINER_OF(relay, struct bench, relay);
}

static struct dial *script_dial(const struct dial_host *host, const struct dial_order *order, uint64_t now_ms,
    dial_done_fn *done, void *context)
{
    struct session *s = context;
    struct bench *b = bench_of(s->relay);
    assert_ptr_equal(&s->relay->net, host);
    assert_ptr_equal(&target_of(s)->address, order->target);
    assert_null(order->tls);
    assert_int_equal(b->now_ms, now_ms);
    assert_null(b->dial);
    if (b->dial_null) {
        return NULL;
    }
    b->dials++;
    b->dial_timeout_ms = order->timeout_ms;
    b->dial_target = s->target_at;
    b->prelude_bytes = order->prelude_bytes;
    if (order->prelude_bytes > 0) {
        memcpy(b->prelude, order->prelude, order->prelude_bytes);
    }
    note_dialed(b);
    script_busy++;
    b->dial = calloc(1, sizeof *b->dial);
    script_busy--;
    assert_non_null(b->dial);
    *b->dial = (struct dial){done, context};
    return b->dial;
}

static void forget(struct dial *dial)
{
    struct bench *b = bench_of(((struct session *)dial->context)->relay);
    assert_ptr_equal(b->dial, dial);
    b->dial = NULL;
    free(dial);
}

const struct relay_dialer script_dialer = {script_dial, forget};

void bench_answer_dial(struct bench *b)
{
    assert_non_null(b->dial);
    struct dial dial = *b->dial;
    struct session *s = dial.context;
    struct script_side *client = side_of(s->client.io);
    forget(b->dial);
    bool down = (b->dial_down >> b->dial_target & 1) != 0;
    enum dial_status status = down ? DIAL_REFUSED : b->dial_status;
    if (status == DIAL_OK) {
        dial.done(dial.context, DIAL_OK, script_connect(client->other), "");
    } else {
        dial.done(dial.context, status, NULL, "as the script says");
    }
}
