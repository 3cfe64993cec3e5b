/* `files` routes as whole sessions: pipelined requests, slow and broken clients, connections that stay open.
 */
#include "script.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BIG = 300000 };

static char folder[] = "/tmp/sluice-files-XXXXXX";
static char route[128];
static uint8_t big[BIG];

static void put(const char *name, const void *bytes, size_t n)
{
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(dir >= 0 && fd >= 0);
    assert_int_equal(n, write(fd, bytes, n));
    close(fd);
    close(dir);
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(route, sizeof route, "    files: %s\n", folder);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (uint8_t)(i * 7 + i / 256);
    }
    put("a.txt", "first", 5);
    put("index.html", "<p>index", 8);
    put("empty", "", 0);
    put("big", big, BIG);
    put(".hidden", "no", 2);
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(0, mkdirat(dir, "sub", 0755));
    assert_int_equal(0, symlinkat("/etc/passwd", dir, "out"));
    close(dir);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int flags;
    } all[] = {{"a.txt", 0}, {"index.html", 0}, {"empty", 0}, {"big", 0}, {".hidden", 0}, {"out", 0},
        {"sub", AT_REMOVEDIR}};
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        (void)unlinkat(dir, all[i].name, all[i].flags);
    }
    close(dir);
    return rmdir(folder);
}

static void ask(struct script_side *client, const char *method, const char *path, const char *fields)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, fields);
    assert_in_range(n, 1, sizeof text - 1);
    say_text(client, text);
}

/* One answer after the other. */
struct answers {
    const char *at;
    size_t left;
};

static struct answers answers_of(const struct script_side *client)
{
    return (struct answers){(const char *)buf_data(&client->heard), buf_len(&client->heard)};
}

static struct slice field(struct slice head, const char *name)
{
    struct slice rest = head;
    struct slice line;
    while (slice_next(&rest, '\n', &line)) {
        size_t n = strlen(name);
        if (line.len > n && strncmp(line.p, name, n) == 0) {
            return slice_trim((struct slice){line.p + n, line.len - n - (line.p[line.len - 1] == '\r')});
        }
    }
    return SLICE("");
}

/* Fails unless the next answer has that status and that body. */
static struct slice next_answer(struct answers *all, const char *status, const void *body, size_t n)
{
    const char *end = memmem(all->at, all->left, "\r\n\r\n", 4);
    assert_non_null(end);
    struct slice head = {all->at, (size_t)(end - all->at) + 2};
    assert_memory_equal("HTTP/1.1 ", head.p, 9);
    assert_memory_equal(status, head.p + 9, strlen(status));
    size_t skip = head.len + 2;
    assert_in_range(n, 0, all->left - skip);
    if (n > 0) {
        assert_memory_equal(body, all->at + skip, n);
    }
    all->at += skip + n;
    all->left -= skip + n;
    return head;
}

static struct bench b;
static struct script_pair p;

static void begin(const struct script_habit *habit)
{
    bench_init(&b, route, "");
    pair_init(&b, &p, habit, &script_easy);
    bench_accept(&b, &p);
}

static void end(void)
{
    assert_int_equal(0, b.dials + bench_log_count(&b, "session_end"));
    pair_fini(&p);
    bench_fini(&b);
}

/* ---- Good ways. */

static void ask_for_all(struct script_side *client)
{
    ask(client, "GET", "/a.txt", "");
    ask(client, "GET", "/big", "");
    ask(client, "HEAD", "/big", "");
    ask(client, "GET", "/empty", "");
    ask(client, "GET", "/big", "Range: bytes=1000-1009\r\n");
    ask(client, "GET", "/big", "Range: bytes=300000-\r\n");
    ask(client, "GET", "/", "Connection: close\r\n");
    ask(client, "GET", "/a.txt", "");
}

static void check_all(const struct script_side *client)
{
    struct answers all = answers_of(client);
    (void)next_answer(&all, "200", "first", 5);
    struct slice head = next_answer(&all, "200", big, BIG);
    assert_true(slice_eq(field(head, "Content-Length:"), SLICE("300000")));
    head = next_answer(&all, "200", NULL, 0);
    assert_true(slice_eq(field(head, "Content-Length:"), SLICE("300000")));
    (void)next_answer(&all, "200", NULL, 0);
    head = next_answer(&all, "206", big + 1000, 10);
    assert_true(slice_eq(field(head, "Content-Range:"), SLICE("bytes 1000-1009/300000")));
    head = next_answer(&all, "416", NULL, 0);
    assert_true(slice_eq(field(head, "Content-Range:"), SLICE("bytes */300000")));
    head = next_answer(&all, "200", "<p>index", 8);
    assert_true(slice_eq(field(head, "Connection:"), SLICE("close")));
    assert_int_equal(0, all.left);
}

static void test_pipelined(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        struct script_habit habit = script_habits[i];
        habit.write_piece = habit.write_piece < 1000 ? 1000 + habit.write_piece : habit.write_piece;
        begin(&habit);
        ask_for_all(&p.client);
        bench_run(&b);
        check_all(&p.client);
        assert_true(p.client.shut && p.client.closed && !p.client.reset);
        assert_int_equal(0, bench_log_count(&b, "request_refused"));
        end();
    }
}

/* The connection stays, and each request may come in two pieces. */
static void test_requests_cut_anywhere(void **state)
{
    (void)state;
    struct script_side source = {.room = SCRIPT_ALL};
    ask(&source, "GET", "/a.txt", "");
    ask(&source, "HEAD", "/a.txt", "");
    ask(&source, "GET", "/empty", "");
    for (size_t cut = 0; cut <= buf_len(&source.said); cut++) {
        begin(&script_easy);
        say(&p.client, buf_data(&source.said), cut);
        bench_run(&b);
        say(&p.client, buf_data(&source.said) + cut, buf_len(&source.said) - cut);
        bench_run(&b);
        struct answers all = answers_of(&p.client);
        (void)next_answer(&all, "200", "first", 5);
        (void)next_answer(&all, "200", NULL, 0);
        (void)next_answer(&all, "200", NULL, 0);
        assert_int_equal(0, all.left);
        assert_false(p.client.shut);
        p.client.end = SCRIPT_EOF;
        bench_run(&b);
        end();
    }
    buf_fini(&source.said);
}

static void test_unchanged(void **state)
{
    (void)state;
    begin(&script_easy);
    ask(&p.client, "GET", "/a.txt", "");
    bench_run(&b);
    struct answers all = answers_of(&p.client);
    struct slice etag = field(next_answer(&all, "200", "first", 5), "ETag:");
    assert_true(etag.len > 2);
    char fields[128];
    (void)snprintf(fields, sizeof fields, "If-None-Match: \"x\", %.*s\r\n", SLICE_ARG(etag));
    ask(&p.client, "GET", "/a.txt", fields);
    ask(&p.client, "GET", "/a.txt", "If-None-Match: \"x\"\r\n");
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    all = answers_of(&p.client);
    (void)next_answer(&all, "200", "first", 5);
    (void)next_answer(&all, "304", NULL, 0);
    (void)next_answer(&all, "200", "first", 5);
    assert_int_equal(0, all.left);
    end();
}

/* ---- What is not served. */

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *status;
    } rows[] = {{"GET", "/none", "404"}, {"GET", "/.hidden", "404"}, {"GET", "/out", "404"},
        {"GET", "/sub/", "404"}, {"GET", "/%2e%2e/etc/passwd", "404"}, {"GET", "/sub/../a.txt", "404"},
        {"GET", "//a.txt", "404"}, {"GET", "/a.txt/", "404"}, {"POST", "/a.txt", "405"},
        {"GET", "/sub", "301"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] * script_habit_count; i++) {
        size_t row = i / script_habit_count;
        begin(&script_habits[i % script_habit_count]);
        ask(&p.client, rows[row].method, rows[row].path, "");
        ask(&p.client, "GET", "/a.txt", "");
        bench_run(&b);
        struct answers all = answers_of(&p.client);
        struct slice head = next_answer(&all, rows[row].status, NULL, 0);
        assert_true(slice_eq(field(head, "Connection:"), SLICE("close")));
        if (strcmp(rows[row].status, "405") == 0) {
            assert_true(slice_eq(field(head, "Allow:"), SLICE("GET, HEAD")));
        }
        assert_null(memmem(all.at, all.left, "HTTP/1.1", 8));
        assert_true(p.client.shut && p.client.closed);
        end();
    }
}

/* RFC 9110 9.3.2: a HEAD has no body in its answer, also where that is a refusal. */
static void test_refused_head_has_no_body(void **state)
{
    (void)state;
    begin(&script_easy);
    ask(&p.client, "HEAD", "/none", "");
    bench_run(&b);
    struct answers all = answers_of(&p.client);
    struct slice head = next_answer(&all, "404", NULL, 0);
    assert_true(slice_eq(field(head, "Content-Length:"), SLICE("22")));
    assert_int_equal(0, all.left);
    end();
}

/* ---- Broken and slow clients. */

static bool run_failing(const struct script_habit *habit, unsigned fail_at)
{
    begin(habit);
    b.fail_at = fail_at + b.calls;
    ask_for_all(&p.client);
    bench_run(&b);
    bool failed = b.failed != NULL;
    assert_int_equal(0, b.relay.connections);
    if (!failed) {
        check_all(&p.client);
    }
    end();
    return failed;
}

static void test_each_call_fails(void **state)
{
    (void)state;
    const struct script_habit habits[] = {
        {.name = "plain", .read_piece = 100, .write_piece = 30000, .wants = true},
        {.name = "tls", .read_piece = SCRIPT_ALL, .write_piece = 30000, .burst = 200, .keeps = true}};
    for (size_t i = 0; i < 2; i++) {
        unsigned fail_at = 1;
        while (run_failing(&habits[i], fail_at)) {
            fail_at++;
        }
        assert_true(fail_at > 20);
    }
}

/* A client that takes a little now and then may be slow for ever; one that takes nothing may not. */
static void test_slow_client(void **state)
{
    (void)state;
    begin(&script_easy);
    p.client.room = 1000;
    ask(&p.client, "GET", "/big", "");
    bench_run(&b);
    for (int i = 0; i < 10; i++) {
        bench_pass(&b, 9 * 1000);
        p.client.room = 1000;
        bench_run(&b);
        assert_int_equal(SESSION_FILE, bench_session(&b, &p)->state);
    }
    assert_in_range(p.client.most_kept, 1, 64 << 10);
    bench_pass(&b, 10 * 1000 - WHEEL_TICK_MS);
    assert_non_null(bench_session(&b, &p));
    bench_pass(&b, WHEEL_TICK_MS);
    assert_true(p.client.closed);
    end();
}

static void test_client_goes_in_the_middle(void **state)
{
    (void)state;
    for (int rst = 0; rst < 2; rst++) {
        begin(&script_easy);
        p.client.room = 1000;
        ask(&p.client, "GET", "/big", "");
        bench_run(&b);
        p.client.end = rst ? SCRIPT_RESET : SCRIPT_EOF;
        bench_run(&b);
        assert_int_equal(rst, p.client.closed); /* one that ended its sending alone still has its file */
        p.client.room = SCRIPT_ALL;
        bench_run(&b);
        assert_true(p.client.closed);
        if (!rst) {
            struct answers all = answers_of(&p.client);
            (void)next_answer(&all, "200", big, BIG);
        }
        end();
    }
}

static void test_kept_connection(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        begin(&script_easy);
        bench_run(&b);
        bench_pass(&b, 9 * 1000);
        ask(&p.client, "GET", "/a.txt", "");
        bench_run(&b);
        bench_pass(&b, 9 * 1000);
        say_text(&p.client, begun ? "GET" : "");
        bench_run(&b);
        assert_non_null(bench_session(&b, &p));
        bench_pass(&b, 1000);
        struct answers all = answers_of(&p.client);
        (void)next_answer(&all, "200", "first", 5);
        assert_int_equal(begun, all.left > 0);
        if (begun) {
            (void)next_answer(&all, "408", NULL, 0);
        }
        assert_int_equal(begun, bench_log_count(&b, "request_refused"));
        assert_true(p.client.shut && p.client.closed);
        end();
    }
}

static void test_file_becomes_shorter(void **state)
{
    (void)state;
    begin(&script_easy);
    p.client.room = 1000;
    ask(&p.client, "GET", "/big", "");
    bench_run(&b);
    put("big", "short", 5);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    assert_true(p.client.closed);
    put("big", big, BIG);
    end();
}

/* What was begun is sent whole; then the connection is not kept. */
static void test_drain_in_the_middle(void **state)
{
    (void)state;
    begin(&script_easy);
    p.client.room = 1000;
    ask(&p.client, "GET", "/big", "");
    bench_run(&b);
    relay_drain(&b.relay);
    bench_run(&b);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    struct answers all = answers_of(&p.client);
    (void)next_answer(&all, "200", big, BIG);
    assert_true(p.client.shut && p.client.closed);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_requests_cut_anywhere),
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refused_head_has_no_body),
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_client_goes_in_the_middle),
        cmocka_unit_test(test_kept_connection),
        cmocka_unit_test(test_file_becomes_shorter),
        cmocka_unit_test(test_drain_in_the_middle),
    };
    return cmocka_run_group_tests_name("session_files", tests, make_folder, remove_folder);
}
