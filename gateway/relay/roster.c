#include "relay/roster.h"
#include "base/json.h"
#include "relay/session.h"
#include <errno.h>
#include <unistd.h>

enum { VALUE_MAX = 1024 };

/* A line's longest, with some nine strings that are escaped. */
#define LINE_MAX_BYTES ((size_t)10 * (6 * VALUE_MAX + 32) + 512)
_Static_assert(LINE_MAX_BYTES < (size_t)RELAY_READ_MAX, "a line fits into the scratch");

static bool takes(const struct roster_filter *filter, const struct session *s)
{
    return s->place == PLACE_SESSION && (filter->id == 0 || filter->id == s->id) &&
           (filter->route.len == 0 || slice_eq(filter->route, slice_from(s->route->name))) &&
           (!filter->by_client || (!s->peer.is_unix && ip_net_contains(&filter->client, &s->peer.addr)));
}

/* ---- Lists. */

struct list_writer {
    const struct roster_filter *filter;
    int fd;
    int err; /* 0: all was written so far */
    uint64_t count;
    struct text text; /* in the relay's scratch */
};

static void flush(struct list_writer *w)
{
    struct slice rest = text_slice(&w->text);
    while (rest.len > 0 && w->err == 0) {
        ssize_t n = write(w->fd, rest.p, rest.len);
        if (n >= 0) {
            rest = (struct slice){rest.p + n, rest.len - (size_t)n};
        } else if (errno != EINTR) {
            w->err = errno;
        }
    }
    w->text.len = 0;
}

static void add_str(struct text *line, const char *key, struct slice value)
{
    text_addf(line, "%s\"%s\":", line->p[line->len - 1] == '{' ? "" : ",", key);
    json_add_string(line, value, VALUE_MAX);
}

static void add_u64(struct text *line, const char *key, uint64_t value)
{
    text_addf(line, ",\"%s\":", key);
    text_add_u64(line, value);
}

static size_t kept(const struct session_side *sink, const struct session_flow *flow)
{
    return flow_kept_bytes(flow) + (sink->io != NULL ? sink->io->ops->unsent(sink->io) : 0);
}

static void add_who(struct text *line, const struct session *s)
{
    char id[SESSION_ID_MAX];
    char client[SOCK_TEXT_MAX];
    struct asked_words asked = asked_words(s->asked);
    session_id_format(s, id);
    sock_peer_format(&s->peer, client);
    add_str(line, "id", slice_from(id));
    add_str(line, "client", slice_from(client));
    add_str(line, "listener", slice_from(s->door->name));
    add_str(line, "route", slice_from(s->route->name));
    add_str(line, "target", slice_from(s->route->targets[s->target_at].text));
    add_str(line, "host", asked.authority);
    add_str(line, "path", asked.path);
    add_str(line, "origin", asked.origin);
    add_str(line, "subprotocol", asked.subprotocol);
    add_str(line, "state", slice_from(session_state_name(s->state)));
}

static void add_how(struct text *line, const struct session *s)
{
    uint32_t client_rtt_us = slow_tcp(&s->client).rtt_us;
    uint32_t target_rtt_us = slow_tcp(&s->target).rtt_us;
    add_u64(line, "age_ms", s->relay->now_ms - s->begun_ms);
    add_u64(line, "up_bytes", s->up.bytes);
    add_u64(line, "down_bytes", s->down.bytes);
    add_u64(line, "up_kept", kept(&s->target, &s->up));
    add_u64(line, "down_kept", kept(&s->client, &s->down));
    add_u64(line, "up_stalled_ms", slow_stalled_ms(s, &s->up));
    add_u64(line, "down_stalled_ms", slow_stalled_ms(s, &s->down));
    if (s->ping_known) {
        add_u64(line, "ping_ms", s->ping_ms);
    }
    if (client_rtt_us != 0) {
        add_u64(line, "client_rtt_us", client_rtt_us);
    }
    if (target_rtt_us != 0) {
        add_u64(line, "target_rtt_us", target_rtt_us);
    }
    add_u64(line, "worker", (uint64_t)getpid());
}

static void list_one(struct session *s, void *context)
{
    struct list_writer *w = context;
    if (w->err != 0 || !takes(w->filter, s)) {
        return;
    }
    if (w->text.cap - w->text.len <= LINE_MAX_BYTES) {
        flush(w);
    }
    w->count++;
    text_add(&w->text, SLICE("{"));
    add_who(&w->text, s);
    add_how(&w->text, s);
    text_add(&w->text, SLICE("}\n"));
}

bool relay_list(struct relay *relay, const struct roster_filter *filter, int fd, uint64_t *count)
{
    struct list_writer w = {.filter = filter, .fd = fd};
    text_init(&w.text, (char *)relay->scratch, RELAY_READ_MAX);
    relay_each(relay, list_one, &w);
    flush(&w);
    *count = w.count;
    errno = w.err;
    return w.err == 0;
}

/* ---- Ends. */

struct kill {
    const struct roster_filter *filter;
    uint64_t count;
};

static void kill_one(struct session *s, void *context)
{
    struct kill *kill = context;
    if (!session_is_over(s) && takes(kill->filter, s)) {
        kill->count++;
        session_end(s, CAUSE_KILLED, NULL);
        session_run(s);
    }
}

uint64_t relay_kill(struct relay *relay, const struct roster_filter *filter)
{
    struct kill kill = {.filter = filter};
    relay_each(relay, kill_one, &kill);
    return kill.count;
}
