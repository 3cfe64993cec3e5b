/* Bytes to a side: what it does not take is kept, and that is the whole of back-pressure. */
#include "relay/session.h"
#include <errno.h>

enum { READ_FIRST = 64 * 1024, READ_LEAST = 16 * 1024 };

size_t flow_read_bytes(const struct session_flow *flow, size_t max_bytes)
{
    size_t n = flow->read_bytes != 0 ? flow->read_bytes : READ_FIRST;
    return n < max_bytes ? n : max_bytes;
}

void flow_read_filled(struct session_flow *flow)
{
    size_t n = 2 * flow_read_bytes(flow, RELAY_READ_MAX);
    flow->read_bytes = (uint32_t)(n < RELAY_READ_MAX ? n : RELAY_READ_MAX);
}

static void read_less(struct session_flow *flow)
{
    size_t n = flow_read_bytes(flow, RELAY_READ_MAX) / 2;
    flow->read_bytes = (uint32_t)(n > READ_LEAST ? n : READ_LEAST);
}

bool flow_is_blocked(const struct session_side *sink, const struct session_flow *flow)
{
    /* To one that is lost nothing waits, whatever its transport still holds. */
    return sink->io != NULL && !flow->sink_told &&
           (buf_len(&flow->kept) > 0 || sink->io->ops->unsent(sink->io) > 0);
}

/* A socket that was reset says so once, to whoever asks first. EPIPE says only that it takes nothing more:
 * its end in order, if it had one, is still to be read. */
static enum flow_status broken(struct session_side *sink, const struct io_result *result)
{
    sink->reset = sink->reset || result->err == ECONNRESET;
    return FLOW_BROKEN;
}

enum flow_status flow_write(struct session_side *sink, struct session_flow *flow, const void *data, size_t n)
{
    const uint8_t *bytes = data;
    struct io_result result = sink->io->ops->write(sink->io, bytes, n);
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
    flow->undelivered += (uint32_t)(buf_len(&flow->kept) + unsent);
    buf_fini(&flow->kept);
}
