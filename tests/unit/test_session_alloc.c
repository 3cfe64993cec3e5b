/* Relaying allocates nothing: malloc(3) and its kin are counted while frames go both ways over a session that
 * stands. */
#include "made_certs.h"
#include "net/tls_internal.h"
#include "script.h"
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS 0
#else
#define COUNTS 1
#endif
#else
#define COUNTS 1
#endif

static volatile size_t allocated; /* volatile: a compiler knows that malloc(3) changes no variables */
static volatile size_t held;      /* allocations not freed */
static volatile bool refusing;    /* the session's allocations are counted down, and one fails */
static volatile size_t refuse_in; /* how many more until it does; 0: it did, or none is to */

#if COUNTS
/* glibc's own, behind the names that this program takes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);

static bool refused(void)
{
    allocated++;
    return refusing && script_busy == 0 && refuse_in > 0 && --refuse_in == 0;
}

static void *counted(void *made)
{
    held += made != NULL;
    return made;
}

void *malloc(size_t size)
{
    return refused() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return refused() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (old == NULL) {
        return malloc(size);
    }
    return refused() ? NULL : __libc_realloc(old, size);
}

void free(void *old)
{
    held -= old != NULL;
    __libc_free(old);
}
#endif

/* A sanitizer or valgrind has an allocator of its own, which is not counted. */
static bool counts(void)
{
    size_t before = allocated;
    void *volatile made = malloc(1);
    free(made);
    made = calloc(1, 1);
    free(made);
    made = strdup("");
    free(made);
    return allocated == before + 3;
}

static void test_counting(void **state)
{
    (void)state;
    if (!counts()) {
        skip();
    }
}

/* ---- Peers that keep nothing: what is said lies in an array, and what is heard is summed up. */

struct pipe_end {
    struct transport transport;
    const uint8_t *says; /* again and again */
    size_t say_len;
    size_t say_at;
    size_t left; /* bytes still to say */
    size_t heard;
    bool shut;
};

static struct pipe_end *end_of(const struct transport *t)
{
    return (struct pipe_end *)(uintptr_t)t;
}

static struct io_result answer(enum io_status status, size_t n)
{
    return (struct io_result){status, n, 0};
}

static struct io_result end_done(struct transport *t)
{
    (void)t;
    return answer(IO_OK, 0);
}

static struct io_result end_read(struct transport *t, void *to, size_t cap)
{
    struct pipe_end *end = end_of(t);
    if (end->left == 0) {
        return answer(end->shut ? IO_EOF : IO_WANT_READ, 0);
    }
    size_t n = end->left < cap ? end->left : cap;
    n = n < 1000 ? n : 1000;
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)to)[i] = end->says[end->say_at];
        end->say_at = (end->say_at + 1) % end->say_len;
    }
    end->left -= n;
    return answer(IO_OK, n);
}

static struct io_result end_write(struct transport *t, const void *from, size_t len)
{
    (void)from;
    end_of(t)->heard += len;
    return answer(IO_OK, len);
}

static struct io_result end_shutdown(struct transport *t)
{
    end_of(t)->shut = true;
    return answer(IO_OK, 0);
}

static size_t end_none(const struct transport *t)
{
    (void)t;
    return 0;
}

static void end_close(struct transport *t, bool reset)
{
    (void)reset;
    end_of(t)->transport.ops = NULL;
}

static const char *end_fault(const struct transport *t)
{
    (void)t;
    return "";
}

static const struct transport_ops end_ops = {
    .handshake = end_done,
    .read = end_read,
    .write = end_write,
    .write_last = end_write,
    .flush = end_done,
    .shutdown = end_shutdown,
    .pending = end_none,
    .unsent = end_none,
    .close = end_close,
    .fault = end_fault,
};

static struct pipe_end target;
static int dialing;

static struct dial *dial_at_hand(const struct dial_host *host, const struct dial_order *order,
    uint64_t now_ms, dial_done_fn *done, void *context)
{
    (void)host;
    (void)order;
    (void)now_ms;
    (void)done;
    (void)context;
    return (struct dial *)(void *)&dialing; /* never looked into */
}

static void dial_forget(struct dial *dial)
{
    (void)dial;
}

static const struct relay_dialer at_hand = {dial_at_hand, dial_forget};

/* ---- */

static void turn(struct session *s, unsigned ready)
{
    if (s->client.watch.slot >= 0 && (s->client.watch.interest & ready) != 0) {
        s->client.watch.ready(&s->client.watch, s->client.watch.interest & ready);
    }
    if (s->target.watch.slot >= 0 && (s->target.watch.interest & ready) != 0) {
        s->target.watch.ready(&s->target.watch, s->target.watch.interest & ready);
    }
}

static struct session *stand(struct bench *b, struct pipe_end *client, const struct script_side *head)
{
    b->relay.dialer = &at_hand;
    *client = (struct pipe_end){.transport = {&end_ops, -1},
        .says = buf_data(&head->said),
        .say_len = buf_len(&head->said),
        .left = buf_len(&head->said)};
    target = (struct pipe_end){.transport = {&end_ops, -1}};
    relay_accept_transport(&b->relay, &b->door, &client->transport, &b->peer);
    struct session *s = CONTAINER_OF(b->relay.all.next, struct session, link);
    turn(s, LOOP_READ);
    assert_int_equal(SESSION_DIAL, s->state);
    s->request->dial = NULL; /* as the dialer's answer does it, before the sides are told */
    session_watch_target(s, &target.transport);
    session_move(s, SESSION_RELAY);
    request_done(s);
    session_run(s);
    return s;
}

static void relay_frames(const char *route, enum ws_opcode opcode)
{
    struct bench b;
    struct pipe_end client;
    struct script_side head = {.room = SCRIPT_ALL};
    struct script_side frames = {.room = SCRIPT_ALL};
    char payload[900];
    memset(payload, 'p', sizeof payload);
    bench_init(&b, route, "");
    say_upgrade(&head, "/", "");
    say_frame(&frames, true, opcode, "small", 5);
    say_frame(&frames, false, opcode, payload, sizeof payload);
    say_frame(&frames, true, WS_PONG, NULL, 0);
    say_frame(&frames, true, WS_CONTINUATION, payload, 300);
    struct session *s = stand(&b, &client, &head);

    client = (struct pipe_end){.transport = client.transport,
        .says = buf_data(&frames.said),
        .say_len = buf_len(&frames.said),
        .left = 1000 * buf_len(&frames.said)};
    target.says = (const uint8_t *)payload;
    target.say_len = sizeof payload;
    target.left = 1000 * sizeof payload;
    size_t before = allocated;
    while (client.left > 0 || target.left > 0) {
        turn(s, LOOP_READ);
        b.relay.now_ms = ++b.now_ms;
        wheel_run(&b.wheel, b.now_ms);
    }
    size_t after = allocated;
    assert_int_equal(1000 * 1205, target.heard);
    assert_true(client.heard > 1000 * sizeof payload);
    assert_int_equal(0, after - before);
    bench_cut(&b);
    buf_fini(&head.said);
    buf_fini(&frames.said);
    bench_fini(&b);
}

static void test_relaying_allocates_nothing(void **state)
{
    (void)state;
    relay_frames("", WS_BINARY);
    relay_frames("    messages: text\n", WS_TEXT);
    relay_frames("    timeouts: {idle: 1m, session: 1h}\n", WS_BINARY);
}

/* ---- Over TLS. */

static void open_tls_pair(struct tls_server *server, struct transport *ends[2])
{
    char why[TLS_WHY_MAX];
    struct tls_client_options options = {.server_name = "localhost"};
    struct tls_client *client = tls_client_new(&options, why);
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    ends[0] = tls_accept_new(server, fds[0]);
    ends[1] = tls_connect_new(client, fds[1]);
    assert_true(ends[0] != NULL && ends[1] != NULL);
    tls_client_free(client);
    bool open[2] = {false, false};
    while (!open[0] || !open[1]) {
        for (int i = 0; i < 2; i++) {
            struct io_result result = ends[i]->ops->handshake(ends[i]);
            assert_int_not_equal(IO_FAIL, result.status);
            open[i] = result.status == IO_OK;
        }
    }
}

/* One way: whole records, which is what is written at once. */
static void pass_over_tls(struct transport *from, struct transport *to, size_t n)
{
    static uint8_t bytes[1 << 16], heard[1 << 16];
    struct io_result result = from->ops->write(from, bytes, n);
    assert_int_equal(n, result.n);
    for (size_t left = n; left > 0; left -= result.n) {
        result = to->ops->read(to, heard, sizeof heard);
        assert_int_equal(IO_OK, result.status);
    }
}

/* Nor do the record buffers of OpenSSL, though a connection gives them back after each call. */
static void test_tls_allocates_nothing(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 125, 1000, 16384, 60000};
    char why[TLS_WHY_MAX];
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "server", .san = "DNS:localhost"});
    struct tls_server *server = tls_server_new(false);
    assert_true(tls_server_add_certificate(
        server, made_certs_path("server.crt"), made_certs_path("server.key"), why, NULL));
    struct transport *ends[2];
    open_tls_pair(server, ends);
    pass_over_tls(ends[0], ends[1], 1); /* with the session tickets before it */
    pass_over_tls(ends[1], ends[0], 1);
    size_t before = allocated;
    for (int i = 0; i < 500; i++) {
        pass_over_tls(ends[i % 2], ends[(i + 1) % 2], sizes[i % 5]);
    }
    size_t after = allocated;
    assert_int_equal(0, after - before);
    ends[0]->ops->close(ends[0], false);
    ends[1]->ops->close(ends[1], false);
    tls_server_free(server);
    made_certs_end();
}

/* An idle session owns no buffer at all. */
static void test_idle_owns_no_buffer(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.room = p.target.room = 2;
    say_frame(&p.client, true, WS_PING, "and a control frame", 19);
    say_frame(&p.client, true, WS_BINARY, "there was something", 19);
    say_text(&p.target, "both ways");
    bench_run(&b);
    p.client.room = p.target.room = SCRIPT_ALL;
    bench_run(&b);
    const struct session *s = bench_session(&b, &p);
    assert_null(s->up.kept.block);
    assert_null(s->down.kept.block);
    assert_null(s->pongs.block);
    assert_null(s->message.control);
    assert_null(s->request);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&p);
    bench_fini(&b);
}

/* ---- Each allocation fails in turn. */

static bool is_prefix(const struct buf *part, const char *whole, size_t n)
{
    return buf_len(part) <= n && (buf_len(part) == 0 || memcmp(whole, buf_data(part), buf_len(part)) == 0);
}

static const char up_text[] = "early one two";
static const char down_text[] = "welcome, and \xC3\xA4 more";

static void run(struct bench *b)
{
    refusing = true;
    bench_run(b);
    refusing = false;
}

/* A story that keeps something everywhere: the head in pieces, a stalled 101, stalled flows, a ping in
 * pieces. */
static void tell(struct bench *b, struct script_pair *p)
{
    p->client.room = 20;
    p->target.room = 3;
    say_upgrade(&p->client, "/", "");
    say_frame(&p->client, true, WS_TEXT, "early ", 6);
    refusing = true;
    bench_accept(b, p);
    refusing = false;
    run(b);
    p->client.room = 200;
    p->target.room = 5;
    run(b);
    p->client.room = 4;
    say(&p->target, down_text, 14);
    say_frame(&p->client, true, WS_PING, "a", 1);
    say_frame(&p->client, true, WS_TEXT, "one two", 7);
    run(b);
    say(&p->target, down_text + 14, sizeof down_text - 15);
    p->client.room = p->target.room = 11;
    run(b);
    p->client.room = p->target.room = SCRIPT_ALL;
    run(b);
    p->client.room = 2;
    say_close(&p->client, 1000, "");
    run(b);
    p->client.room = SCRIPT_ALL;
    run(b);
    p->client.end = p->target.end = SCRIPT_EOF;
    run(b);
}

static void check_story(struct bench *b, struct script_pair *p, bool failed)
{
    char cause[32];
    bench_log_value(b, "session_end", "cause", cause, sizeof cause);
    assert_int_equal(1, bench_log_count(b, "session_end") + bench_log_count(b, "request_refused") +
                            bench_log_count(b, "connection_dropped"));
    if (cause[0] != '\0' && strcmp(cause, "overload") != 0 && strcmp(cause, "client_close") != 0) {
        fail_msg("out of memory, and the cause is %s", cause);
    }
    struct hearing h;
    hearing_of(&p->client, &h);
    assert_true(is_prefix(&h.payload, down_text, sizeof down_text - 1)); /* no hole in it */
    assert_true(is_prefix(&p->target.heard, up_text, sizeof up_text - 1));
    assert_false(h.behind_close);
    if (!failed) {
        assert_string_equal("client_close", cause);
        assert_string_equal("pong(a) close(1000 )", h.controls);
        assert_int_equal(sizeof down_text - 1, buf_len(&h.payload));
        assert_heard_text(&p->target, up_text);
    }
    hearing_fini(&h);
}

static bool run_refusing(const struct script_habit *habit, const char *route, size_t refuse)
{
    struct bench b;
    struct script_pair p;
    static bool first = true;
    tls_alloc_thread_fini(); /* what is kept for later is not counted */
    size_t before = held;
    bench_init(&b, route, "");
    pair_init(&b, &p, habit, habit);
    refuse_in = refuse;
    tell(&b, &p);
    bool failed = refuse > 0 && refuse_in == 0;
    refuse_in = 0;
    check_story(&b, &p, failed);
    pair_fini(&p);
    bench_fini(&b);
    ERR_clear_error(); /* OpenSSL notes what was refused to it */
    tls_alloc_thread_fini();
    if (first) { /* libraries keep what they make once */
        first = false;
    } else {
        assert_int_equal(before, held);
    }
    return failed;
}

static void test_each_allocation_fails(void **state)
{
    (void)state;
    static const char *const routes[] = {
        "    messages: text\n", "    messages: text\n    on_unreachable: http\n"};
    assert_false(run_refusing(&script_easy, routes[0], 0));
    for (size_t i = 0; i < 2 * script_habit_count; i++) {
        size_t refuse = 1;
        while (run_refusing(&script_habits[i / 2], routes[i % 2], refuse)) {
            refuse++;
        }
        assert_true(!counts() || refuse > 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counting),
        cmocka_unit_test(test_relaying_allocates_nothing),
        cmocka_unit_test(test_tls_allocates_nothing),
        cmocka_unit_test(test_idle_owns_no_buffer),
        cmocka_unit_test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests_name("session_alloc", tests, NULL, NULL);
}
