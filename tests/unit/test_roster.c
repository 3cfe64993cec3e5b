/* Live sessions as an operator sees them: listed, ended, and judged again by new rules. */
#include "base/json.h"
#include "relay/roster.h"
#include "rules/load.h"
#include "script.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct bench b;
static struct script_pair p[4];
static size_t pairs;

static const char two_routes[] = "listen: {address: 127.0.0.1:0}\n"
                                 "routes:\n"
                                 "  - {name: desk, path: /desk/*, target: tcp://127.0.0.1:9}\n"
                                 "  - {name: rest, path: /*, origin: any, target: tcp://127.0.0.1:10}\n";

static void begin(const char *yaml)
{
    bench_init_yaml(&b, yaml);
    pairs = 0;
}

static struct script_pair *come(const char *address, const char *path, const char *fields)
{
    struct script_pair *one = &p[pairs++];
    b.peer = (struct sock_peer){.port = 5000};
    b.peer.is_unix = address == NULL;
    assert_true(address == NULL || ip_parse(slice_from(address), &b.peer.addr));
    pair_init(&b, one, &script_easy, &script_easy);
    say_upgrade(&one->client, path, fields);
    bench_accept(&b, one);
    bench_run(&b);
    return one;
}

static bool lives(const struct script_pair *one)
{
    const struct session *s = bench_session(&b, one);
    return s != NULL && s->state == SESSION_RELAY;
}

static void end(void)
{
    for (size_t i = 0; i < pairs; i++) {
        if (bench_session(&b, &p[i]) != NULL) {
            p[i].client.end = SCRIPT_EOF;
            p[i].client.room = p[i].target.room = SCRIPT_ALL;
            bench_run(&b);
        }
        pair_fini(&p[i]);
    }
    assert_null(b.relay.asked.root);
    bench_fini(&b);
}

static char listed[512 * 1024];

/* Lists into `listed`; answers the count. */
static uint64_t list(const struct roster_filter *filter)
{
    uint64_t count = 0;
    int fd = memfd_create("list", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(relay_list(&b.relay, filter, fd, &count));
    ssize_t n = pread(fd, listed, sizeof listed - 1, 0);
    assert_in_range(n, 0, sizeof listed - 1);
    listed[n] = '\0';
    close(fd);
    uint64_t lines = 0;
    for (const char *at = listed; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(count, lines);
    return count;
}

static void assert_lists(const char *text)
{
    if (strstr(listed, text) == NULL) {
        fail_msg("%s is not in %s", text, listed);
    }
}

/* ---- Lists. */

static void test_a_line(void **state)
{
    (void)state;
    char expected[64];
    begin(two_routes);
    struct script_pair *one = come("192.0.2.7", "/desk/1?token=secret",
        "Origin: https://desk.example\r\nSec-WebSocket-Protocol: base64, binary\r\n");
    say_frame(&one->client, true, WS_BINARY, "hello", 5);
    bench_run(&b);
    one->client.room = 4;
    say_text(&one->target, "0123456789");
    bench_run(&b);
    bench_pass(&b, 1500);
    assert_int_equal(1, list(&(struct roster_filter){0}));
    char id[SESSION_ID_MAX];
    session_id_format(bench_session(&b, one), id);
    (void)snprintf(expected, sizeof expected, "{\"id\":\"%s\",\"client\":", id);
    assert_int_equal(0, strncmp(listed, expected, strlen(expected)));
    assert_lists("\"client\":\"192.0.2.7:5000\",\"listener\":\"127.0.0.1:8080\",\"route\":\"desk\","
                 "\"target\":\"tcp://127.0.0.1:9\",\"host\":\"desk.example\",\"path\":\"/desk/1\","
                 "\"origin\":\"https://desk.example\",\"subprotocol\":\"binary\",\"state\":\"relay\","
                 "\"age_ms\":1500,\"up_bytes\":5,\"down_bytes\":10,\"up_kept\":0,\"down_kept\":8,"
                 "\"up_stalled_ms\":0,\"down_stalled_ms\":1500,\"worker\":");
    (void)snprintf(expected, sizeof expected, ",\"worker\":%ld}\n", (long)getpid());
    assert_lists(expected);
    assert_null(strstr(listed, "secret"));
    assert_null(strstr(listed, "ping_ms"));
    end();
}

/* Those that wait for their target are there, and those that are over are not. */
static void test_who_is_listed(void **state)
{
    (void)state;
    begin(two_routes);
    struct script_pair *over = come("192.0.2.1", "/1", "");
    over->target.polite = over->client.polite = false;
    say_close(&over->client, 1000, "");
    bench_run(&b);
    assert_non_null(bench_session(&b, over)); /* its ends are awaited */
    b.dial_holds = true;
    come("192.0.2.2", "/2", "");
    assert_int_equal(1, list(&(struct roster_filter){0}));
    assert_lists("\"state\":\"dial\"");
    b.dial_holds = false;
    bench_run(&b);
    over->target.end = over->client.end = SCRIPT_EOF;
    bench_run(&b);
    end();
}

static struct roster_filter from(const char *net)
{
    struct roster_filter filter = {.by_client = true};
    assert_true(ip_net_parse(slice_from(net), &filter.client, NULL));
    return filter;
}

static void test_filters(void **state)
{
    (void)state;
    begin(two_routes);
    struct script_pair *one = come("192.0.2.1", "/desk/1", "");
    come("198.51.100.1", "/1", "");
    come("2001:db8::1", "/2", "");
    come(NULL, "/3", "");
    struct roster_filter filter = {0};
    assert_int_equal(4, list(&filter));
    filter.route = SLICE("rest");
    assert_int_equal(3, list(&filter));
    filter = from("192.0.2.0/24");
    assert_int_equal(1, list(&filter));
    filter = from("2001:db8::/64");
    assert_int_equal(1, list(&filter));
    filter = from("::/0");
    assert_int_equal(3, list(&filter)); /* who has no address is in no network */
    filter.route = SLICE("desk");
    assert_int_equal(1, list(&filter));
    filter = (struct roster_filter){.id = bench_session(&b, one)->id};
    assert_int_equal(1, list(&filter));
    assert_lists("\"path\":\"/desk/1\"");
    filter.route = SLICE("rest");
    assert_int_equal(0, list(&filter));
    filter = (struct roster_filter){.id = 1};
    assert_int_equal(0, list(&filter));
    end();
}

/* What a client sends cannot break a line, and a long one is cut. */
static void test_hostile_words(void **state)
{
    (void)state;
    char path[3000] = "/";
    memset(path + 1, '"', 2500);
    begin(two_routes);
    come("192.0.2.1", path, "Origin: \"\\\xC3\xA9\xFF\r\n");
    assert_int_equal(1, list(&(struct roster_filter){0}));
    assert_lists("\\\"\\\"...\",\"origin\":\"\\\"\\\\\\u00e9\\u00ff\"");
    end();
}

static void test_a_list_that_cannot_be_written(void **state)
{
    (void)state;
    uint64_t count = 0;
    begin(two_routes);
    come("192.0.2.1", "/1", "");
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_false(relay_list(&b.relay, &(struct roster_filter){0}, fd, &count));
    assert_int_equal(ENOSPC, errno);
    close(fd);
    end();
}

/* ---- Ends. */

static void test_kill(void **state)
{
    (void)state;
    begin(two_routes);
    struct script_pair *one = come("192.0.2.1", "/1", "");
    struct script_pair *other = come("192.0.2.2", "/2", "");
    struct roster_filter filter = from("192.0.2.2");
    assert_int_equal(1, relay_kill(&b.relay, &filter));
    assert_int_equal(0, relay_kill(&b.relay, &filter));
    bench_run(&b);
    assert_closed_with(&other->client, 1008, "an operator ended the session");
    bench_assert_cause(&b, CAUSE_KILLED);
    assert_true(lives(one));
    filter = (struct roster_filter){.id = bench_session(&b, one)->id};
    assert_int_equal(1, relay_kill(&b.relay, &filter));
    bench_run(&b);
    assert_null(bench_session(&b, one));
    assert_int_equal(2, tally_read(&b.census->own->rows[1].ended[CAUSE_KILLED]));
    end();
}

static void test_kill_while_dialing(void **state)
{
    (void)state;
    for (int http = 0; http < 2; http++) {
        char yaml[256];
        (void)snprintf(yaml, sizeof yaml,
            "listen: {address: 127.0.0.1:0}\nroutes: {target: tcp://127.0.0.1:9, on_unreachable: %s}\n",
            http ? "http" : "close");
        begin(yaml);
        b.dial_holds = true;
        struct script_pair *one = come("192.0.2.1", "/1", "");
        assert_int_equal(1, relay_kill(&b.relay, &(struct roster_filter){0}));
        assert_int_equal(0, relay_kill(&b.relay, &(struct roster_filter){0}));
        bench_run(&b);
        struct hearing h;
        hearing_of(&one->client, &h);
        assert_int_equal(http ? 403 : 101, h.status);
        assert_int_equal(http ? 0 : 1008, h.close_code);
        hearing_fini(&h);
        end();
    }
}

/* ---- Revocation. */

static uint64_t judge_again(const char *yaml)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_text(yaml, strlen(yaml), "f", &faults);
    assert_non_null(rules);
    faults_fini(&faults);
    uint64_t count = relay_revoke(&b.relay, rules);
    b.relay.newer = NULL;
    rules_free(rules);
    bench_run(&b);
    return count;
}

#define LISTEN "listen: {address: 127.0.0.1:0}\n"

/* One session, by /desk/%31 from 192.0.2.1 of https://desk.example offering base64; whether it lives on. */
static void revoked_by(bool ends, const char *yaml)
{
    begin(two_routes);
    struct script_pair *one = come("192.0.2.1", "/desk/%31?x=/else",
        "Origin: https://desk.example\r\nSec-WebSocket-Protocol: base64\r\n");
    assert_true(lives(one));
    assert_int_equal(ends, judge_again(yaml));
    assert_int_equal(!ends, lives(one));
    if (ends) {
        assert_closed_with(&one->client, 1008, "a new configuration does not admit it");
        bench_assert_cause(&b, CAUSE_REVOKED);
    } else {
        say_frame(&one->client, true, WS_BINARY, "on", 2);
        bench_run(&b);
        assert_heard_text(&one->target, "on");
    }
    end();
}

static void test_revocation(void **state)
{
    (void)state;
    revoked_by(false, two_routes);
    /* another route, to another target: it may stay where it is */
    revoked_by(false, LISTEN "routes: {path: /desk/1, target: tcp://127.0.0.1:99}\n");
    revoked_by(true, LISTEN "routes: {path: /else, target: tcp://127.0.0.1:9}\n");
    revoked_by(false, LISTEN "routes: {host: desk.example, target: tcp://127.0.0.1:9}\n");
    revoked_by(true, LISTEN "routes: {host: other.example, target: tcp://127.0.0.1:9}\n");
    revoked_by(false, LISTEN "routes: {from: 192.0.2.0/24, target: tcp://127.0.0.1:9}\n");
    revoked_by(true, LISTEN "routes: {from: 198.51.100.0/24, target: tcp://127.0.0.1:9}\n");
    revoked_by(true, LISTEN "routes: {origin: none, target: tcp://127.0.0.1:9}\n");
    revoked_by(false, LISTEN "routes: {subprotocol: base64, target: tcp://127.0.0.1:9}\n");
    revoked_by(true, LISTEN "routes: {subprotocol: binary, target: tcp://127.0.0.1:9}\n");
    revoked_by(true, LISTEN "routes: {path: /*, files: /tmp}\n");
}

static void test_revocation_of_some(void **state)
{
    (void)state;
    begin(two_routes);
    struct script_pair *one = come("192.0.2.1", "/desk/1", "");
    struct script_pair *other = come("192.0.2.1", "/1", "");
    struct script_pair *local = come(NULL, "/desk/2", "");
    struct script_pair silent; /* no request, so nothing to judge */
    pair_init(&b, &silent, &script_easy, &script_easy);
    bench_accept(&b, &silent);
    bench_run(&b);
    assert_int_equal(1, judge_again(LISTEN "routes: {path: /desk/*, target: tcp://127.0.0.1:9}\n"));
    assert_true(lives(one) && lives(local) && !lives(other));
    assert_int_equal(
        1, judge_again(LISTEN "routes: {path: /desk/*, from: 192.0.2.1, target: tcp://127.0.0.1:9}\n"));
    assert_true(lives(one) && !lives(local));
    silent.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&silent);
    end();
}

/* ---- JSON. */

static void test_json(void **state)
{
    (void)state;
    char array[256];
    struct text text;
    text_init(&text, array, sizeof array);
    json_add_string(&text, SLICE("a\"\\\n\t\x7F\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xC3"), 100);
    json_add_string(&text, SLICE("123456"), 6);
    json_add_string(&text, SLICE("1234567"), 6);
    json_add_string(&text, SLICE(""), 6);
    assert_string_equal(
        "\"a\\\"\\\\\\n\\u0009\\u007f\\u00e9\\u20ac\\ud83d\\ude00\\u00c3\"\"123456\"\"123...\"\"\"", array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_who_is_listed),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_a_list_that_cannot_be_written),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_kill_while_dialing),
        cmocka_unit_test(test_revocation),
        cmocka_unit_test(test_revocation_of_some),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
