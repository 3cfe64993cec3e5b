/* Bytes to a side: what it does not take is kept, and that is the whole of back-pressure. */
#include "relay/session.h"
#include <errno.h>
#include <stdlib.h>

/* As powers of two, which a flow keeps in a byte. */
enum { READ_LEAST_LOG2 = 14, READ_FIRST_LOG2 = 16 };
enum { STREAM_LEAST = 32 * 1024 };

static unsigned read_log2(const struct session_flow *flow)
{
    return flow->read_log2 != 0 ? flow->read_log2 : READ_FIRST_LOG2;
}

size_t flow_read_bytes(const struct session_flow *flow, size_t max_bytes)
{
    size_t n = (size_t)1 << read_log2(flow);
    return n < max_bytes ? n : max_bytes;
}

void flow_read_filled(struct session_flow *flow)
{
    unsigned log2 = read_log2(flow);
    flow->read_log2 = (uint8_t)(log2 < RELAY_READ_MAX_LOG2 ? log2 + 1 : log2);
}

static void read_less(struct session_flow *flow)
{
    unsigned log2 = read_log2(flow);
    flow->read_log2 = (uint8_t)(log2 > READ_LEAST_LOG2 ? log2 - 1 : log2);
}

bool flow_is_stream(const struct session_flow *flow, size_t cap)
{
    return flow->read_log2 == RELAY_READ_MAX_LOG2 && cap >= STREAM_LEAST;
}

void flow_stream_read(struct session_flow *flow, size_t n)
{
    if (n < STREAM_LEAST) {
        read_less(flow);
    }
}

size_t flow_kept_bytes(const struct session_flow *flow)
{
    return buf_len(&flow->kept) + (flow->pipe != SPLICE_NONE ? splice_pipe_of(flow->pipe)->held_bytes : 0);
}

bool flow_is_blocked(const struct session_side *sink, const struct session_flow *flow)
{
    /* To one that is lost nothing waits, whatever its transport still holds. */
    return sink->io != NULL && !flow->sink_told &&
           (buf_len(&flow->kept) > 0 || flow->pipe != SPLICE_NONE || sink->io->ops->unsent(sink->io) > 0);
}

/* A socket that was reset says so once, to whoever asks first. EPIPE says only that it takes nothing more:
 * its end in order, if it had one, is still to be read. */
static enum flow_status broken(struct session_side *sink, const struct io_result *result)
{
    sink->reset = sink->reset || result->err == ECONNRESET;
    return FLOW_BROKEN;
}

/* What a write of `bytes` came to. */
static enum flow_status written(struct session_side *sink, struct session_flow *flow, const uint8_t *bytes,
    size_t n, struct io_result result)
{
    if (result.status != IO_OK && result.status != IO_WANT_WRITE) {
        return broken(sink, &result);
    }
    size_t taken = result.status == IO_OK ? result.n : 0;
    if (taken < n && !buf_append(&flow->kept, bytes + taken, n - taken)) {
        return FLOW_NO_MEMORY;
    }
    if (!flow_is_blocked(sink, flow)) {
        return FLOW_CLEAR;
    }
    read_less(flow);
    return FLOW_BLOCKED;
}

enum flow_status flow_write(struct session_side *sink, struct session_flow *flow, const void *data, size_t n)
{
    return written(sink, flow, data, n, sink->io->ops->write(sink->io, data, n));
}

enum flow_status flow_write_last(
    struct session_side *sink, struct session_flow *flow, const void *data, size_t n)
{
    return written(sink, flow, data, n, sink->io->ops->write_last(sink->io, data, n));
}

static void give_pipe(struct session_flow *flow)
{
    if (flow->pipe != SPLICE_NONE) {
        splice_pipe_give(splice_pipe_of(flow->pipe));
        flow->pipe = SPLICE_NONE;
    }
}

/* A sink that cannot be spliced to has it written. */
static enum flow_status write_out(struct session_side *sink, struct session_flow *flow)
{
    struct splice_pipe *pipe = splice_pipe_of(flow->pipe);
    size_t n = pipe->held_bytes;
    uint8_t *bytes = malloc(n);
    bool whole = bytes != NULL && splice_empty(pipe, bytes);
    if (whole) {
        give_pipe(flow);
    }
    enum flow_status status = whole ? flow_write(sink, flow, bytes, n) : FLOW_NO_MEMORY;
    free(bytes);
    return status;
}

static enum flow_status flush_pipe(struct session_side *sink, struct session_flow *flow)
{
    struct splice_pipe *pipe = splice_pipe_of(flow->pipe);
    struct io_result result = sink->io->ops->write_pipe(sink->io, pipe);
    if (result.status == IO_FAIL) {
        return splice_is_unable(&result) ? write_out(sink, flow) : broken(sink, &result);
    }
    if (pipe->held_bytes > 0) {
        return FLOW_BLOCKED;
    }
    give_pipe(flow);
    return FLOW_CLEAR;
}

enum flow_status flow_write_pipe(struct session_side *sink, struct session_flow *flow, const void *head,
    size_t n, struct splice_pipe *pipe)
{
    const uint8_t *bytes = head;
    flow->pipe = splice_handle_of(pipe);
    struct io_result result = sink->io->ops->write_head(sink->io, bytes, n);
    if (result.status != IO_OK && result.status != IO_WANT_WRITE) {
        return broken(sink, &result);
    }
    size_t taken = result.status == IO_OK ? result.n : 0;
    if (taken < n && !buf_append(&flow->kept, bytes + taken, n - taken)) {
        return FLOW_NO_MEMORY;
    }
    enum flow_status status = taken < n ? FLOW_BLOCKED : flush_pipe(sink, flow);
    if (status == FLOW_BLOCKED) {
        read_less(flow);
    }
    return status;
}

enum flow_status flow_flush(struct session_side *sink, struct session_flow *flow)
{
    struct io_result result = sink->io->ops->flush(sink->io);
    while (result.status == IO_OK && buf_len(&flow->kept) > 0) {
        size_t len = buf_len(&flow->kept);
        result = sink->io->ops->write(sink->io, buf_data(&flow->kept), len);
        if (result.status == IO_OK) {
            buf_take(&flow->kept, result.n);
            if (result.n < len) {
                return FLOW_BLOCKED; /* a part was taken: the next write would take none */
            }
        }
    }
    switch (result.status) {
    case IO_OK:
        if (flow->pipe != SPLICE_NONE) {
            return flush_pipe(sink, flow);
        }
        return flow_is_blocked(sink, flow) ? FLOW_BLOCKED : FLOW_CLEAR;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        return FLOW_BLOCKED;
    case IO_EOF:
    case IO_FAIL:
        break;
    }
    return broken(sink, &result);
}

void flow_drop(const struct session_side *sink, struct session_flow *flow)
{
    size_t unsent = sink->io != NULL && !flow->sink_told ? sink->io->ops->unsent(sink->io) : 0;
    flow->undelivered += (uint32_t)(flow_kept_bytes(flow) + unsent);
    flow_fini(flow);
}

void flow_fini(struct session_flow *flow)
{
    buf_fini(&flow->kept);
    give_pipe(flow);
}
