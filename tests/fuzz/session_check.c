/* What holds of every run of fuzz_session, whatever befell it. */
#include "session_run.h"
#include "wire.h"

enum {
    BUFFER_BYTES = 4096,
    CONTROLS_BYTES = 2048 + 1024, /* pongs, ping, Close, the 101 */
    REQUEST_BYTES = 16384,
};

static void require_prefix(const struct buf *heard, const struct buf *said)
{
    size_t n = buf_len(heard);
    run_require(n <= buf_len(said) && (n == 0 || memcmp(buf_data(heard), buf_data(said), n) == 0));
}

static bool same(const struct buf *heard, const struct buf *said)
{
    return buf_len(heard) == buf_len(said);
}

struct sight {
    struct wire up;   /* what the client said */
    struct wire down; /* what it heard */
    bool switched;
};

static void look(struct run *run, struct sight *sight)
{
    size_t n;
    const struct buf *heard = &run->p.client.heard;
    const uint8_t *frames = wire_behind_head(&run->client_said, &n);
    *sight = (struct sight){0};
    sight->switched = buf_len(heard) > 12 && memcmp(buf_data(heard), "HTTP/1.1 101", 12) == 0;
    wire_read(&sight->up, frames, n, true);
    frames = wire_behind_head(heard, &n);
    if (sight->switched) {
        wire_read(&sight->down, frames, n, false);
    }
}

static void sight_fini(struct sight *sight)
{
    wire_fini(&sight->up);
    wire_fini(&sight->down);
}

/* Always. */
static void check_sight(const struct run *run, const struct sight *sight)
{
    require_prefix(&run->p.target.heard, &sight->up.payload);
    require_prefix(&sight->down.payload, &run->target_said);
    run_require(sight->down.end != WIRE_FAULT && sight->down.beyond == 0 && !sight->down.pieces);
    run_require(wire_answers(&sight->up.pings, &sight->down.pongs));
    if (!run_is_route(run, "files")) {
        run_require(run->p.client.most_kept <= BUFFER_BYTES + CONTROLS_BYTES);
        run_require(run->p.target.most_kept <= REQUEST_BYTES + BUFFER_BYTES);
    }
}

void run_check(struct run *run)
{
    struct sight sight;
    look(run, &sight);
    check_sight(run, &sight);
    sight_fini(&sight);
}

/* Something here explains it. */
static bool fits(const struct run *run, const struct sight *sight, enum cause cause)
{
    bool client_ended = run->p.client.end != SCRIPT_STAYS || run->client_failed;
    bool target_ended = run->p.target.end != SCRIPT_STAYS || run->target_failed;
    bool text = run_is_route(run, "text");
    switch (cause) {
    case CAUSE_CLIENT_CLOSE:
        return sight->up.end == WIRE_CLOSE;
    case CAUSE_CLIENT_GONE:
        return client_ended;
    case CAUSE_BAD_FRAME:
        return sight->up.end == WIRE_FAULT || sight->up.cut;
    case CAUSE_BAD_UTF8:
        return text || run_is_route(run, "any");
    case CAUSE_BAD_MESSAGE_TYPE:
        return !run_is_route(run, "any");
    case CAUSE_MESSAGE_TOO_BIG:
        return run_is_route(run, "any");
    case CAUSE_TARGET_EOF:
        return target_ended;
    case CAUSE_TARGET_RESET:
        return run->target_failed || run->later;
    case CAUSE_TARGET_REFUSED:
    case CAUSE_TARGET_UNREACHABLE:
    case CAUSE_TARGET_DNS:
    case CAUSE_TARGET_TLS:
    case CAUSE_OVERLOAD:
        return run->cannot_dial;
    case CAUSE_TARGET_TIMEOUT:
        return run->cannot_dial || run->later;
    case CAUSE_CLIENT_TIMEOUT:
    case CAUSE_IDLE:
    case CAUSE_SESSION_LIMIT:
        return run->later;
    case CAUSE_TARGET_NOT_TEXT:
        return text;
    case CAUSE_DRAIN:
        return run->drained;
    case CAUSE_KILLED:
        return run->killed;
    case CAUSE_REVOKED:
        return run->revoked;
    case CAUSE_INTERNAL:
        break;
    }
    return false;
}

/* At an end in order nothing is missing. */
static void check_whole(const struct run *run, const struct sight *sight, enum cause cause)
{
    const struct script_pair *p = &run->p;
    bool up_whole = cause == CAUSE_CLIENT_CLOSE || cause == CAUSE_BAD_FRAME ||
                    (cause == CAUSE_CLIENT_GONE && !run_is_route(run, "reset"));
    if (up_whole && run->smooth && !run->target_left) {
        run_require(same(&p->target.heard, &sight->up.payload));
    }
    if (cause == CAUSE_TARGET_EOF && run->smooth && !run->client_left) {
        run_require(same(&sight->down.payload, &run->target_said));
        run_require(sight->down.end == WIRE_CLOSE);
    }
}

/* What is not delivered is told. Over TLS that is what was not sent of records, a last one that only says
 * that it is the last among them. */
static void check_told(struct run *run)
{
    char text[32];
    uint64_t undelivered = 0;
    size_t heard = buf_len(&run->p.target.heard);
    bench_log_value(&run->b, "session_end", "undelivered_up_bytes", text, sizeof text);
    (void)slice_to_u64(slice_from(text), UINT64_MAX, &undelivered);
    uint64_t bytes = bench_log_number(&run->b, "session_end", "up_bytes");
    run_require(bytes >= heard && bytes <= heard + undelivered);
    run_require(run->p.target.habit.keeps || bytes == heard + undelivered);
}

void run_check_end(struct run *run)
{
    struct sight sight;
    char name[64];
    enum cause cause;
    look(run, &sight);
    check_sight(run, &sight);
    size_t ends = bench_log_count(&run->b, "session_end");
    size_t refused = bench_log_count(&run->b, "request_refused");
    if (run_is_route(run, "files")) {
        run_require(ends == 0);
    } else {
        run_require(ends + refused <= 1);
        run_require(ends + refused == 1 || (run->b.dials == 0 && !sight.switched));
    }
    if (ends == 1) {
        bench_log_value(&run->b, "session_end", "cause", name, sizeof name);
        run_require(cause_from_name(slice_from(name), &cause) && fits(run, &sight, cause));
        check_whole(run, &sight, cause);
    }
    if (ends == 1 && !run->target_failed && run->b.failed == NULL) {
        check_told(run);
    }
    sight_fini(&sight);
}
