/* serve/admin_http: what a request to the admin listener asks for, and whether it may. */
#include "serve/admin_http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct board board;
static struct ip_net allowed;
static struct admin_rule rule;

static int make_board(void **state)
{
    (void)state;
    const char *why = "";
    rule = (struct admin_rule){.on = true, .allow = &allowed, .allow_count = 1};
    if (!board_init(&board) || !ip_net_parse(SLICE("10.1.0.0/16"), &allowed, &why) ||
        !endpoint_parse(SLICE("gate.example:9901"), &rule.address, &why)) {
        return -1;
    }
    (void)board_row(&board, "desk");
    (void)board_row(&board, "my route/1");
    return 0;
}

static int end_board(void **state)
{
    (void)state;
    board_fini(&board);
    return 0;
}

static struct sock_peer peer_of(const char *address)
{
    struct sock_peer peer = {.is_unix = strcmp(address, "unix") == 0};
    assert_true(peer.is_unix || ip_parse(slice_from(address), &peer.addr));
    return peer;
}

/* `headers` stand behind the Host, which is in it. */
static struct admin_ask ask_from(const char *from, const char *line, const char *headers)
{
    static struct http_request request;
    char text[2048];
    int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\n%s\r\n", line, headers);
    assert_true(len > 0 && (size_t)len < sizeof text);
    char *exact = malloc((size_t)len); /* of just its size: a sanitizer sees a step too far */
    assert_non_null(exact);
    memcpy(exact, text, (size_t)len);
    http_request_init(&request);
    assert_int_equal(HTTP_DONE, http_request_read(&request, exact, (size_t)len, 8192));
    struct admin_context context = {&rule, peer_of(from), "machine", board.head};
    struct admin_ask ask;
    admin_http_judge(&context, &request, exact, &ask);
    free(exact);
    return ask;
}

static struct admin_ask ask_for(const char *line)
{
    return ask_from("127.0.0.1", line, "Host: localhost\r\n");
}

static void pages(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum admin_page page;
    } cases[] = {
        {"GET /healthz", ADMIN_HEALTH},
        {"GET /readyz", ADMIN_READY},
        {"HEAD /metrics", ADMIN_METRICS},
        {"GET /metrics?name%5B%5D=sluice_sessions", ADMIN_METRICS},
        {"GET /healthz?", ADMIN_HEALTH},
        {"GET /readyz?from=balancer", ADMIN_READY},
        {"GET http://localhost/workers", ADMIN_WORKERS},
        {"GET /sessions", ADMIN_SESSIONS},
        {"GET /sessions?", ADMIN_SESSIONS},
        {"GET /sessions/00000000000000aF", ADMIN_SESSION},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct admin_ask ask = ask_for(cases[i].line);
        if (ask.status != 0 || ask.page != cases[i].page || ask.ends) {
            fail_msg("%s: %u %s", cases[i].line, ask.status, ask.why);
        }
        assert_int_equal(cases[i].line[0] == 'H', ask.head_only);
    }
    assert_int_equal(0xAF, ask_for("GET /sessions/00000000000000aF").filter.id);
    assert_int_equal(0xAF, ask_for("DELETE /sessions/00000000000000af").filter.id);
    assert_true(ask_for("DELETE /sessions/00000000000000af").ends);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint16_t status;
        const char *says;
    } cases[] = {
        {"GET /", 404, "/metrics"},
        {"GET /healthz/", 404, "/healthz"},
        {"GET /sessions/12", 400, "16 hexadecimal digits"},
        {"GET /sessions/", 400, "16 hexadecimal digits"},
        {"GET /sessions/00000000000000ag", 400, "16 hexadecimal digits"},
        {"GET /sessions/000000000000000", 400, "16 hexadecimal digits"},
        {"GET /sessions/0000000000000000", 404, "no session has this id"},
        {"DELETE /sessions/0000000000000000", 404, "no session has this id"},
        {"GET /sessions/00000000000000a1?route=desk", 400, "no query"},
        {"GET /workers?x=1", 400, "no query"},
        {"POST /sessions", 405, "DELETE"},
        {"DELETE /metrics", 405, "GET, HEAD"},
        {"OPTIONS *", 404, ""},
        {"GET /sessions?rout=desk", 400, "did you mean \"route\"?"},
        {"GET /sessions?zzzzzz=desk", 400, "there are route and client"},
        {"GET /sessions?route", 400, "write route=VALUE"},
        {"GET /sessions?route=", 400, "write route=VALUE"},
        {"GET /sessions?route=%", 400, "write route=VALUE"},
        {"GET /sessions?route=%4", 400, "write route=VALUE"},
        {"GET /sessions?route=%00", 400, "write route=VALUE"},
        {"GET /sessions?route=dsk", 400, "did you mean \"desk\"?"},
        {"GET /sessions?route="
         "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
            400, "over 63 bytes"},
        {"GET /sessions?route=other", 400, "no route is named \"other\""},
        {"GET /sessions?route=desk&route=desk", 400, "once"},
        {"GET /sessions?client=10.0.0", 400, "client"},
        {"GET /sessions?client=10.0.0.1/8", 400, "client"},
        {"GET /sessions?all=1", 400, "unknown key"},
        {"GET /sessions?&route=desk", 400, "unknown key"},
        {"DELETE /sessions", 400, "which sessions?"},
        {"DELETE /sessions?", 400, "which sessions?"},
        {"DELETE /sessions?all=yes", 400, "all=1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct admin_ask ask = ask_for(cases[i].line);
        if (ask.status != cases[i].status || strstr(ask.why, cases[i].says) == NULL) {
            fail_msg("%s: %u %s", cases[i].line, ask.status, ask.why);
        }
    }
    assert_string_equal("GET, HEAD, DELETE", ask_for("PUT /sessions").allow);
    assert_string_equal("GET, HEAD", ask_for("PUT /readyz").allow);
}

static void what_is_quoted_prints(void **state)
{
    (void)state;
    struct admin_ask ask = ask_for("GET /sessions?route=%0d%0aX-Evil:%201%1b%c3%a9");
    assert_int_equal(400, ask.status);
    assert_string_equal("no route is named \"??X-Evil: 1???\"", ask.why);
}

static void filters(void **state)
{
    (void)state;
    struct admin_ask ask = ask_for("GET /sessions?route=desk&client=10.0.0.0/8");
    assert_int_equal(0, ask.status);
    assert_string_equal("desk", ask.filter.route);
    assert_string_equal("10.0.0.0/8", ask.filter.client);
    ask = ask_for("DELETE /sessions?client=fd00%3A%3A%2f8");
    assert_int_equal(0, ask.status);
    assert_true(ask.ends);
    assert_string_equal("fd00::/8", ask.filter.client);
    ask = ask_for("DELETE /sessions?route=my%20route%2f1");
    assert_int_equal(0, ask.status);
    assert_string_equal("my route/1", ask.filter.route);
    ask = ask_for("DELETE /sessions?all=1");
    assert_int_equal(0, ask.status);
    assert_string_equal("", ask.filter.route);
}

static void tables_are_asked_for(void **state)
{
    (void)state;
    assert_false(ask_for("GET /sessions").plain);
    assert_true(ask_from("127.0.0.1", "GET /sessions", "Host: [::1]:1\r\nAccept: text/plain\r\n").plain);
    assert_false(ask_from("127.0.0.1", "GET /sessions", "Host: [::1]:1\r\nAccept: */*\r\n").plain);
}

static void who_may(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        bool may;
    } cases[] = {{"unix", true}, {"127.0.0.1", true}, {"127.3.2.1", true}, {"::1", true}, {"10.1.2.3", true},
        {"10.2.0.1", false}, {"::2", false}, {"192.0.2.1", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sock_peer peer = peer_of(cases[i].from);
        if (admin_http_may_connect(&rule, &peer) != cases[i].may) {
            fail_msg("%s", cases[i].from);
        }
        struct admin_ask ask = ask_from(cases[i].from, "GET /healthz", "Host: localhost\r\n");
        assert_int_equal(cases[i].may ? 0 : 403, ask.status);
    }
}

static void web_pages_are_kept_out(void **state)
{
    (void)state;
    static const struct {
        const char *from, *line, *headers;
        uint16_t status;
    } cases[] = {
        {"127.0.0.1", "GET /metrics", "Host: localhost:9901\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: LOCALHOST\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: 127.0.0.1:9901\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: 192.0.2.9\r\n", 0},
        {"::1", "GET /metrics", "Host: [::1]:9901\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: Machine\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: gate.example:9901\r\n", 0},
        {"127.0.0.1", "GET /metrics", "Host: gateway.internal:9901\r\n", 0},
        {"127.0.0.1", "GET /healthz", "Host: gateway.internal:9901\r\n", 0},
        {"127.0.0.1", "GET /sessions", "Host: evil.example\r\n", 421},
        {"127.0.0.1", "GET /nowhere", "Host: evil.example\r\n", 421},
        {"127.0.0.1", "GET /sessions", "Host: localhost.evil.example\r\n", 421},
        {"127.0.0.1", "GET /sessions", "Host: 127.0.0.1.evil.example\r\n", 421},
        {"10.1.2.3", "GET /sessions", "Host: evil.example\r\n", 421},
        {"10.1.2.3", "DELETE /sessions?all=1", "Host: evil.example\r\n", 421},
        {"10.1.2.3", "GET /workers", "Host: evil.example\r\n", 421},
        {"10.1.2.3", "GET /metrics", "Host: node7.example\r\n", 0},
        {"10.1.2.3", "GET /readyz", "Host: node7.example\r\n", 0},
        {"unix", "GET /sessions", "Host: sluice\r\n", 0},
        {"127.0.0.1", "GET /sessions", "Host: localhost\r\nOrigin: http://localhost\r\n", 403},
        {"127.0.0.1", "GET /sessions", "Host: localhost\r\nOrigin: null\r\n", 403},
        {"unix", "GET /sessions", "Host: localhost\r\nOrigin: null\r\n", 403},
        {"10.1.2.3", "GET /metrics", "Host: localhost\r\nOrigin: http://a.example\r\n", 403},
        {"127.0.0.1", "GET /metrics", "", 400},
        {"127.0.0.1", "GET /metrics", "Host: localhost\r\nHost: localhost\r\n", 400},
        {"127.0.0.1", "GET /metrics", "Host: local host\r\n", 400},
        {"127.0.0.1", "DELETE /sessions?all=1", "Host: localhost\r\nContent-Length: 0\r\n", 0},
        {"127.0.0.1", "DELETE /sessions?all=1", "Host: localhost\r\nContent-Length: 1\r\n", 400},
        {"127.0.0.1", "DELETE /sessions?all=1", "Host: localhost\r\nTransfer-Encoding: chunked\r\n", 400},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct admin_ask ask = ask_from(cases[i].from, cases[i].line, cases[i].headers);
        if (ask.status != cases[i].status) {
            fail_msg(
                "%s from %s, %s: %u %s", cases[i].line, cases[i].from, cases[i].headers, ask.status, ask.why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_is_quoted_prints),
        cmocka_unit_test(filters),
        cmocka_unit_test(tables_are_asked_for),
        cmocka_unit_test(who_may),
        cmocka_unit_test(web_pages_are_kept_out),
    };
    return cmocka_run_group_tests(tests, make_board, end_board);
}
