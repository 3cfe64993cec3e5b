/* The bench: rules, loop, wheel, clock and log around sessions over scripted transports. */
#include "rules/load.h"
#include "script_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { START_MS = 1000000, TURNS_MAX = 400000, YAML_MAX = 4096 };

void bench_init_yaml(struct bench *b, const char *yaml)
{
    *b = (struct bench){.now_ms = START_MS, .dial_status = DIAL_OK};
    struct faults faults;
    faults_init(&faults);
    b->rules = rules_load_text(yaml, strlen(yaml), "f", &faults);
    faults_print(&faults, "f", stderr);
    assert_non_null(b->rules);
    faults_fini(&faults);
    log_init(&b->log, LOG_DEBUG, LOG_TEXT);
    log_adopt_fd(&b->log, memfd_create("log", MFD_CLOEXEC));
    assert_true(b->log.fd >= 0);
    wheel_init(&b->wheel, b->now_ms);
    struct dial_host net = {loop_new(LOOP_POLL), &b->wheel, NULL};
    assert_non_null(net.loop);
    b->census = census_new_alone();
    assert_non_null(b->census);
    char why[TLS_WHY_MAX];
    assert_true(relay_init(&b->relay, b->rules, &b->log, net, b->census, NULL, why));
    b->relay.dialer = &script_dialer;
    b->relay.now_ms = b->now_ms;
    b->door.name = "127.0.0.1:8080";
    b->door.rule = &b->listen;
    b->peer = (struct sock_peer){.addr.bytes = {[10] = 0xFF, 0xFF, 10, 0, 0, 7}, .port = 5000};
}

void bench_init(struct bench *b, const char *route, const char *top)
{
    char yaml[YAML_MAX];
    int n = snprintf(yaml, sizeof yaml,
        "listen: {address: 127.0.0.1:0}\nroutes:\n  - name: desk\n    path: /*\n%s%s\n%s\n",
        strstr(route, "files:") == NULL ? "    target: tcp://127.0.0.1:9\n" : "", route, top);
    assert_in_range(n, 1, sizeof yaml - 1);
    bench_init_yaml(b, yaml);
}

void bench_cut(struct bench *b)
{
    struct loop *loop = b->relay.net.loop;
    relay_fini(&b->relay);
    loop_free(loop);
    b->cut = true;
}

static void check_empty(struct bench *b)
{
    assert_int_equal(0, b->relay.connections);
    const struct tally *tally = b->census->own;
    assert_int_equal(0, tally_read(&tally->connections));
    assert_int_equal(0, tally_read(&tally->sessions) + tally_read(&tally->lingering));
    for (size_t i = 0; i < b->rules->route_count; i++) {
        assert_int_equal(0, tally_read(&tally->rows[i].sessions) + tally_read(&tally->rows[i].lingering));
    }
    assert_true(list_empty(&b->relay.again));
    assert_null(b->dial);
}

void bench_fini(struct bench *b)
{
    if (!b->cut) {
        check_empty(b);
        bench_cut(b);
    }
    census_free_alone(b->census);
    rules_free(b->rules);
    log_fini(&b->log);
    free(b->told);
}

static void side_init(struct script_side *side, const char *name, struct bench *b, struct script_side *other,
    const struct script_habit *habit)
{
    *side = (struct script_side){.name = name,
        .bench = b,
        .other = other,
        .habit = *habit,
        .handshake = "",
        .fd = -1,
        .polite = true,
        .room = SCRIPT_ALL};
}

void pair_init(struct bench *b, struct script_pair *p, const struct script_habit *client,
    const struct script_habit *target)
{
    side_init(&p->client, "client", b, &p->target, client);
    side_init(&p->target, "target", b, &p->client, target);
}

static void side_fini(struct script_side *side)
{
    assert_null(side->transport);
    buf_fini(&side->said);
    buf_fini(&side->heard);
    buf_fini(&side->unsent);
}

void pair_fini(struct script_pair *p)
{
    side_fini(&p->client);
    side_fini(&p->target);
}

void bench_accept(struct bench *b, struct script_pair *p)
{
    relay_accept_transport(&b->relay, &b->door, script_connect(&p->client), &b->peer);
}

void pair_relay(struct bench *b, struct script_pair *p)
{
    pair_init(b, p, &script_easy, &script_easy);
    say_upgrade(&p->client, "/", "");
    bench_accept(b, p);
    bench_run(b);
    assert_non_null(p->target.transport);
}

struct session *bench_session(struct bench *b, const struct script_pair *p)
{
    for (struct list *at = b->relay.all.next; at != &b->relay.all; at = at->next) {
        struct session *s = CONTAINER_OF(at, struct session, link);
        if ((p->client.transport != NULL && s->client.io == &p->client.transport->transport) ||
            (p->target.transport != NULL && s->target.io == &p->target.transport->transport)) {
            return s;
        }
    }
    return NULL;
}

/* ---- Turns. */

static bool is_there(struct bench *b, const struct session *s)
{
    for (struct list *at = b->relay.all.next; at != &b->relay.all; at = at->next) {
        if (CONTAINER_OF(at, struct session, link) == s) {
            return true;
        }
    }
    return false;
}

/* Tells the session what it asked for and the side has. */
static bool tell(const struct session_side *end, struct loop_watch *watch)
{
    if (end->io == NULL || watch->slot < 0) {
        return false;
    }
    const struct script_transport *transport = (const struct script_transport *)(void *)end->io;
    unsigned ready = script_ready(transport->side) & watch->interest;
    if (ready != 0) {
        watch->ready(watch, ready);
    }
    return ready != 0;
}

/* What waits for a side: in the session, and in its transport. */
static void note_kept(const struct session_side *sink, const struct session_flow *flow)
{
    if (sink->io != NULL) {
        struct script_side *side = ((const struct script_transport *)(void *)sink->io)->side;
        size_t kept = flow_kept_bytes(flow) + sink->io->ops->unsent(sink->io);
        side->most_kept = kept > side->most_kept ? kept : side->most_kept;
    }
}

static bool tell_and_note(struct bench *b, struct session *s, struct session_side *end)
{
    bool told = tell(end, &end->watch);
    if (is_there(b, s)) {
        note_kept(&s->client, &s->down);
        note_kept(&s->target, &s->up);
    }
    return told;
}

static bool session_turn(struct bench *b, struct session *s)
{
    struct session_side *first = b->target_first ? &s->target : &s->client;
    struct session_side *second = b->target_first ? &s->client : &s->target;
    if (b->streams) {
        s->down.read_log2 = RELAY_READ_MAX_LOG2;
    }
    bool told = tell_and_note(b, s, first);
    if (is_there(b, s)) {
        told |= tell_and_note(b, s, second);
    }
    return told;
}

bool bench_turn(struct bench *b)
{
    bool told = false;
    for (struct list *at = b->relay.all.next; at != &b->relay.all;) {
        struct session *s = CONTAINER_OF(at, struct session, link);
        at = at->next;
        told |= session_turn(b, s);
    }
    if (b->dial != NULL && !b->dial_holds) {
        bench_answer_dial(b);
        told = true;
    }
    told |= !list_empty(&b->relay.again);
    (void)relay_run_again(&b->relay);
    return told;
}

/* Or it rests, with a timer, before it dials again. */
static bool bench_dials(const struct session *s)
{
    return s->request != NULL &&
           (s->request->dial != NULL || (s->request->search.again_ms != 0 && wheel_armed(&s->timer)));
}

static bool waits_for_its_rate(const struct bench *b, const struct session *s)
{
    return s->rate != NULL && wheel_armed(&s->timer) && s->timer.due_ms <= b->now_ms + RATE_STEP_MS;
}

/* A session that asks for nothing must be dialing or wait for its rate, and one that may wait for ever must
 * be relaying. */
static void check_waits(struct bench *b)
{
    for (struct list *at = b->relay.all.next; at != &b->relay.all; at = at->next) {
        const struct session *s = CONTAINER_OF(at, struct session, link);
        unsigned interest = s->client.io != NULL ? s->client.watch.interest : 0U;
        interest |= s->target.io != NULL ? s->target.watch.interest : 0U;
        if (interest == 0 && !bench_dials(s) && !waits_for_its_rate(b, s)) {
            fail_msg("a session waits for nothing: state %s, cause %s", session_state_name(s->state),
                s->has_cause ? cause_name(s->cause) : "-");
        }
        if (!wheel_armed(&s->timer) && s->state != SESSION_RELAY && !bench_dials(s)) {
            fail_msg("a session waits without a limit: state %s", session_state_name(s->state));
        }
    }
}

void bench_run(struct bench *b)
{
    unsigned turns = 0;
    while (bench_turn(b)) {
        if (++turns == TURNS_MAX) {
            const struct session *s = CONTAINER_OF(b->relay.all.next, struct session, link);
            fail_msg("no end after %u turns: state %s, it waits for %u and %u, again %d", turns,
                session_state_name(s->state), s->client.watch.interest, s->target.watch.interest,
                !list_empty(&s->again));
        }
    }
    check_waits(b);
}

void bench_pass(struct bench *b, uint64_t ms)
{
    b->now_ms += ms;
    b->relay.now_ms = b->now_ms;
    wheel_run(&b->wheel, b->now_ms);
    bench_run(b);
}

/* ---- The log. */

const char *bench_log(struct bench *b)
{
    off_t len = lseek(b->log.fd, 0, SEEK_END);
    assert_true(len >= 0);
    free(b->told);
    b->told = calloc(1, (size_t)len + 1);
    assert_non_null(b->told);
    assert_int_equal(len, pread(b->log.fd, b->told, (size_t)len, 0));
    return b->told;
}

size_t bench_log_count(struct bench *b, const char *event)
{
    char word[64];
    (void)snprintf(word, sizeof word, " %s ", event);
    size_t count = 0;
    for (const char *at = bench_log(b); (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    return count;
}

void bench_log_value(struct bench *b, const char *event, const char *key, char *out, size_t cap)
{
    char word[64];
    (void)snprintf(word, sizeof word, " %s ", event);
    const char *line = NULL;
    for (const char *at = bench_log(b); (at = strstr(at, word)) != NULL; at++) {
        line = at;
    }
    out[0] = '\0';
    (void)snprintf(word, sizeof word, " %s=", key);
    const char *end = line != NULL ? strchr(line, '\n') : NULL;
    const char *value = line != NULL ? strstr(line, word) : NULL;
    if (value == NULL || value > end) {
        return;
    }
    value += strlen(word);
    const char *stop = *value == '"' ? strchr(++value, '"') : value + strcspn(value, " \n");
    (void)snprintf(out, cap, "%.*s", (int)(stop - value), value);
}

uint64_t bench_log_number(struct bench *b, const char *event, const char *key)
{
    char text[32];
    uint64_t number = 0;
    bench_log_value(b, event, key, text, sizeof text);
    assert_true(slice_to_u64(slice_from(text), UINT64_MAX, &number));
    return number;
}

void bench_assert_cause(struct bench *b, enum cause cause)
{
    char told[64];
    bench_log_value(b, "session_end", "cause", told, sizeof told);
    assert_string_equal(cause_name(cause), told);
    assert_int_equal(1, bench_log_count(b, "session_end"));
}
