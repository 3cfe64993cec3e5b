/* proto/http_head: what a head asks for, and what is against it. */
#include "base/text.h"
#include "proto/http_head.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ROOM = 4096 };

struct reading {
    char bytes[ROOM];
    struct http_request request;
    struct http_head head;
};

/* A request line, and header lines that each end in CRLF. */
static void read_into(struct reading *r, const char *line, const char *fields)
{
    struct text t;
    text_init(&t, r->bytes, sizeof r->bytes);
    text_addf(&t, "%s HTTP/1.1\r\n%s\r\n", line, fields);
    assert_false(t.cut);
    http_request_init(&r->request);
    assert_int_equal(http_request_read(&r->request, r->bytes, t.len, sizeof r->bytes), HTTP_DONE);
    http_head_read(&r->request, r->bytes, &r->head);
}

static void check_refused(const char *line, const char *fields, uint16_t status, const char *phrase)
{
    struct reading r;
    read_into(&r, line, fields);
    if (r.head.status != status || strcmp(r.head.phrase, phrase) != 0) {
        fail_msg("%s\n%s: %d \"%s\", expected %d \"%s\"", line, fields, r.head.status, r.head.phrase, status,
            phrase);
    }
}

static void check_slice(struct slice got, const char *expected)
{
    if (!slice_eq(got, slice_from(expected))) {
        fail_msg("\"%.*s\", expected \"%s\"", SLICE_ARG(got), expected);
    }
}

#define KEY         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION     "Sec-WebSocket-Version: 13\r\n"
#define ASKS        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define HOST        "Host: a.example\r\n"
#define UPGRADE     HOST ASKS KEY VERSION
#define BAD_HOST    "Host header is not HOST or HOST:PORT"
#define BAD_KEY     "Sec-WebSocket-Key is not 16 bytes in base64"
#define BAD_VERSION "only WebSocket version 13 is spoken here"
#define OTHER_HOST  "request target names another host than the Host header"
#define NOT_A_PATH  "request target is not a path"
#define HAS_BODY    "request has a body (Content-Length or Transfer-Encoding)"

static void a_good_upgrade(void **state)
{
    (void)state;
    struct reading r;
    read_into(&r, "GET /vnc/a%20b?token=x?y", UPGRADE "Origin: https://a.example\r\n");
    assert_int_equal(r.head.status, 0);
    assert_int_equal(r.head.method, HTTP_GET);
    assert_true(r.head.upgrade);
    assert_true(r.head.has_origin);
    assert_false(r.head.has_port);
    assert_false(r.head.wants_close);
    check_slice(r.head.host, "a.example");
    check_slice(r.head.path, "/vnc/a%20b");
    check_slice(r.head.path_and_query, "/vnc/a%20b?token=x?y");
    check_slice(r.head.origin, "https://a.example");
    check_slice(r.head.key, "dGhlIHNhbXBsZSBub25jZQ==");
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *value, *host; /* host NULL: refused */
        int port;                 /* -1: none */
    } cases[] = {
        {"a.example", "a.example", -1},
        {"A.Example", "A.Example", -1},
        {"a.example:", "a.example", -1},
        {"a.example:80", "a.example", 80},
        {"a.example:0", "a.example", 0},
        {"a.example:65535", "a.example", 65535},
        {"a.example:65536", NULL, 0},
        {"a.example:99999999999999999999", NULL, 0},
        {"a.example:-1", NULL, 0},
        {"a.example:+1", NULL, 0},
        {"a.example:8 0", NULL, 0},
        {"a.example:80:80", NULL, 0},
        {"a.example:80x", NULL, 0},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"a example", NULL, 0},
        {"a/b", NULL, 0},
        {"a?b", NULL, 0},
        {"a#b", NULL, 0},
        {"user@a.example", NULL, 0},
        {"a,b", "a,b", -1}, /* sub-delims, RFC 3986 3.2.2: no pattern takes it */
        {"a\xC3\xA9", NULL, 0},
        {"a\\b", NULL, 0},
        {"<a>", NULL, 0},
        {"127.0.0.1:8080", "127.0.0.1", 8080},
        {"[::1]", "[::1]", -1},
        {"[::1]:443", "[::1]", 443},
        {"[::ffff:1.2.3.4]:", "[::ffff:1.2.3.4]", -1},
        {"[]", NULL, 0},
        {"[]:80", NULL, 0},
        {"[::1", NULL, 0},
        {"::1]", NULL, 0},
        {"[::1]x", NULL, 0},
        {"[::1]80", NULL, 0},
        {"[::1]:x", NULL, 0},
        {"[fe80::1%25eth0]", NULL, 0},
        {"[a.example]", NULL, 0},
        {"[[::1]]", NULL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        struct text fields;
        char array[128];
        text_init(&fields, array, sizeof array);
        text_addf(&fields, "Host: %s\r\n", cases[i].value);
        if (cases[i].host == NULL) {
            check_refused("GET /", array, 400, BAD_HOST);
            continue;
        }
        read_into(&r, "GET /", array);
        assert_int_equal(r.head.status, 0);
        check_slice(r.head.host, cases[i].host);
        check_slice(r.head.authority, cases[i].value);
        assert_int_equal(r.head.has_port, cases[i].port >= 0);
        assert_int_equal(r.head.port, cases[i].port >= 0 ? cases[i].port : 0);
    }
    check_refused("GET /", "", 400, "request has no Host header");
    check_refused("GET /", HOST HOST, 400, "request has more than one Host header");
    check_refused("GET /", HOST "hOST: b\r\n", 400, "request has more than one Host header");
}

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *host;
        const char *path, *path_and_query; /* path NULL: refused, and path_and_query is the phrase */
    } cases[] = {
        {"/", "a", "/", "/"},
        {"//a/b", "a", "//a/b", "//a/b"},
        {"/?", "a", "/", "/?"},
        {"/a?b/c?d", "a", "/a", "/a?b/c?d"},
        {"/http://b/", "a", "/http://b/", "/http://b/"},
        {"/a#b", "a", NULL, "request target has a fragment"},
        {"/?#", "a", NULL, "request target has a fragment"},
        {"*", "a", NULL, NOT_A_PATH},
        {"a.example:443", "a", NULL, NOT_A_PATH},
        {"path", "a", NULL, NOT_A_PATH},
        {"?q", "a", NULL, NOT_A_PATH},
        {"http:/a/", "a", NULL, NOT_A_PATH},
        {"ftp://a/", "a", NULL, NOT_A_PATH},
        {"http://a", "a", "/", "/"},
        {"http://a/", "a", "/", "/"},
        {"HTTPS://A:1/x?y", "a:1", "/x", "/x?y"},
        {"ws://a/x", "A", "/x", "/x"},
        {"wss://[::1]:5/x", "[::1]:5", "/x", "/x"},
        {"http://b/", "a", NULL, OTHER_HOST},
        {"http://a:80/", "a", NULL, OTHER_HOST},
        {"http://user@a/", "a", NULL, OTHER_HOST},
        {"http:///", "a", NULL, OTHER_HOST},
        {"http://", "a", NULL, OTHER_HOST},
        {"http://a?q", "a", NULL, OTHER_HOST},
        {"http://a#/", "a", NULL, OTHER_HOST},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        struct text line, fields;
        char lines[128], array[128];
        text_init(&line, lines, sizeof lines);
        text_addf(&line, "GET %s", cases[i].target);
        text_init(&fields, array, sizeof array);
        text_addf(&fields, "Host: %s\r\n", cases[i].host);
        if (cases[i].path == NULL) {
            check_refused(lines, array, 400, cases[i].path_and_query);
            continue;
        }
        read_into(&r, lines, array);
        assert_int_equal(r.head.status, 0);
        check_slice(r.head.path, cases[i].path);
        check_slice(r.head.path_and_query, cases[i].path_and_query);
    }
}

/* 405 depends on the route and is not decided here: nothing that is the other method's own affair may come
 * first. */
static void methods(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum http_method method;
    } cases[] = {
        {"GET /", HTTP_GET},
        {"HEAD /", HTTP_HEAD},
        {"get /", HTTP_OTHER_METHOD},
        {"GETS /", HTTP_OTHER_METHOD},
        {"POST /", HTTP_OTHER_METHOD},
        {"OPTIONS *", HTTP_OTHER_METHOD},
        {"CONNECT b.example:443", HTTP_OTHER_METHOD},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        read_into(&r, cases[i].line, HOST);
        assert_int_equal(r.head.status, 0);
        assert_int_equal(r.head.method, cases[i].method);
        bool is_path = strchr(cases[i].line, '/') != NULL;
        check_slice(r.head.path, is_path ? "/" : "");
        read_into(&r, cases[i].line, HOST ASKS "Sec-WebSocket-Version: 8\r\n");
        assert_int_equal(r.head.upgrade, cases[i].method == HTTP_GET);
        assert_int_equal(r.head.status, cases[i].method == HTTP_GET ? 426 : 0);
    }
    check_refused("POST /", "", 400, "request has no Host header");
    check_refused("POST http://b/", HOST, 400, OTHER_HOST);
}

static void bodies(void **state)
{
    (void)state;
    struct reading r;
    check_refused("GET /", HOST "Content-Length: 0\r\n", 400, HAS_BODY);
    check_refused("GET /", HOST "content-length: 5\r\nContent-Length: 6\r\n", 400, HAS_BODY);
    check_refused("HEAD /", HOST "Transfer-Encoding: chunked\r\n", 400, HAS_BODY);
    check_refused("GET /", HOST "TRANSFER-ENCODING:\r\n", 400, HAS_BODY);
    check_refused("GET /", UPGRADE "Content-Length: 1\r\nTransfer-Encoding: identity\r\n", 400, HAS_BODY);
    read_into(&r, "POST /", HOST "Content-Length: 5\r\n");
    assert_int_equal(r.head.status, 0);
}

static void who_asks_for_the_upgrade(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool upgrade, wants_close;
    } cases[] = {
        {"", false, false},
        {"Upgrade: websocket\r\n", false, false},
        {"Connection: Upgrade\r\n", false, false},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\n", true, false},
        {"upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n", true, false},
        {"Upgrade: h2c, websocket\r\nConnection: Upgrade,HTTP2-Settings\r\n", true, false},
        {"Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection:\tupgrade\r\n", true,
            false},
        {"Upgrade: ,, websocket ,\r\nConnection: ,Upgrade\r\n", true, false},
        {"Upgrade: websocket/13\r\nConnection: Upgrade\r\n", false, false},
        {"Upgrade: websockets\r\nConnection: Upgrade\r\n", false, false},
        {"Upgrade: websocket\r\nConnection: upgraded\r\n", false, false},
        {"Upgrade: websocket\r\nConnection: keep-alive Upgrade\r\n", false, false},
        {"Connection: Close\r\n", false, true},
        {"Upgrade: websocket\r\nConnection: close, Upgrade\r\n", true, true},
        {"Connection: closed\r\n", false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        struct text fields;
        char array[512];
        text_init(&fields, array, sizeof array);
        text_addf(&fields, HOST KEY VERSION "%s", cases[i].fields);
        read_into(&r, "GET /", array);
        assert_int_equal(r.head.status, 0);
        if (r.head.upgrade != cases[i].upgrade || r.head.wants_close != cases[i].wants_close) {
            fail_msg("%s: upgrade %d, close %d", cases[i].fields, r.head.upgrade, r.head.wants_close);
        }
    }
}

static void keys_and_versions(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        uint16_t status;
        const char *phrase;
    } cases[] = {
        {VERSION, 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key:\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=\r\n", 400, BAD_KEY}, /* 17 bytes */
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", 400, BAD_KEY}, /* bits behind the last */
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-w==\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: dGhl HNhbXBsZSBub25jZQ==\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: =GhlIHNhbXBsZSBub25jZQ==\r\n", 400, BAD_KEY},
        {VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400, BAD_KEY},
        {VERSION KEY KEY, 400, "request has more than one Sec-WebSocket-Key"},
        {VERSION VERSION KEY, 400, "request has more than one Sec-WebSocket-Version"},
        {KEY, 426, BAD_VERSION},
        {KEY "Sec-WebSocket-Version: 12\r\n", 426, BAD_VERSION},
        {KEY "Sec-WebSocket-Version: 013\r\n", 426, BAD_VERSION},
        {KEY "Sec-WebSocket-Version: 13, 8\r\n", 426, BAD_VERSION},
        {KEY "Sec-WebSocket-Version:\r\n", 426, BAD_VERSION},
        {"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n", 426,
            BAD_VERSION}, /* of old ones the version is told */
        {KEY VERSION "Origin: a\r\nOrigin: a\r\n", 400, "request has more than one Origin header"},
    };
    static const char *const good_keys[] = {
        "AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+w==", "x3JJHMbDL1EzLkh9GBhXDg=="};
    struct text fields;
    char array[512];
    struct reading r;
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_init(&fields, array, sizeof array);
        text_addf(&fields, HOST ASKS "%s", cases[i].fields);
        check_refused("GET /", array, cases[i].status, cases[i].phrase);
    }
    for (size_t i = 0; i < COUNT(good_keys); i++) {
        text_init(&fields, array, sizeof array);
        text_addf(&fields, HOST ASKS VERSION "Sec-WebSocket-Key: \t%s \r\n", good_keys[i]);
        read_into(&r, "GET /", array);
        assert_int_equal(r.head.status, 0);
        check_slice(r.head.key, good_keys[i]);
    }
    /* Who asks for no upgrade may send what he likes there, once. */
    read_into(&r, "GET /", HOST "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 8\r\n");
    assert_int_equal(r.head.status, 0);
    check_refused("GET /", HOST KEY KEY, 400, "request has more than one Sec-WebSocket-Key");
}

static void the_first_fault_is_told(void **state)
{
    (void)state;
    check_refused("GET nowhere", "Content-Length: 1\r\n" ASKS, 400, "request has no Host header");
    check_refused("GET nowhere", HOST "Content-Length: 1\r\n" ASKS, 400, NOT_A_PATH);
    check_refused("GET /", HOST "Content-Length: 1\r\n" ASKS, 400, HAS_BODY);
}

#define PROTOCOL "Sec-WebSocket-Protocol: "

static void subprotocols(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *joined; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {PROTOCOL "binary\r\n", "binary"},
        {PROTOCOL "binary, base64\r\n", "binary,base64"},
        {PROTOCOL "a ,\tb,c\r\n", "a,b,c"},
        {PROTOCOL "a\r\nX: y\r\nsec-websocket-protocol: b, c\r\n", "a,b,c"},
        {PROTOCOL "a, A\r\n", "a,A"}, /* they compare with case, RFC 6455 11.5 */
        {PROTOCOL "ab, a, b\r\n", "ab,a,b"},
        {PROTOCOL "\r\n", NULL}, /* one name at least, RFC 6455 11.3.4 */
        {PROTOCOL ",\r\n", NULL},
        {PROTOCOL "\r\n" PROTOCOL "a\r\n", "a"},
        {PROTOCOL "a, a\r\n", NULL},
        {PROTOCOL "a\r\n" PROTOCOL "b,a\r\n", NULL},
        {PROTOCOL "a,,b\r\n", "a,b"}, /* empty elements are passed over, RFC 9110 5.6.1.2 */
        {PROTOCOL ",a\r\n", "a"},
        {PROTOCOL "a b\r\n", NULL},
        {PROTOCOL "a;b\r\n", NULL},
        {PROTOCOL "a/b\r\n", NULL},
        {PROTOCOL "\"a\"\r\n", NULL},
        {PROTOCOL "\xC3\xA9\r\n", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        struct slice joined;
        char out[32];
        read_into(&r, "GET /", cases[i].fields);
        bool good = http_head_subprotocols(&r.request, r.bytes, out, sizeof out, &joined);
        assert_int_equal(good, cases[i].joined != NULL);
        if (good) {
            check_slice(joined, cases[i].joined);
        }
    }
}

static void subprotocols_that_do_not_fit(void **state)
{
    (void)state;
    struct reading r;
    struct slice joined;
    char out[8];
    read_into(&r, "GET /", PROTOCOL "ab,cd,efg\r\n"); /* 9 bytes */
    for (size_t cap = 0; cap <= sizeof out; cap++) {
        memset(out, '!', sizeof out);
        assert_false(http_head_subprotocols(&r.request, r.bytes, out, cap, &joined));
        for (size_t i = cap; i < sizeof out; i++) {
            assert_int_equal(out[i], '!');
        }
    }
    read_into(&r, "GET /", PROTOCOL "ab,cd,ef\r\n");
    assert_true(http_head_subprotocols(&r.request, r.bytes, out, sizeof out, &joined));
    check_slice(joined, "ab,cd,ef");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_upgrade),
        cmocka_unit_test(hosts),
        cmocka_unit_test(targets),
        cmocka_unit_test(methods),
        cmocka_unit_test(bodies),
        cmocka_unit_test(who_asks_for_the_upgrade),
        cmocka_unit_test(keys_and_versions),
        cmocka_unit_test(the_first_fault_is_told),
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(subprotocols_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}
