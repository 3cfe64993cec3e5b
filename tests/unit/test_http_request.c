/* proto/http_request: heads and their verdicts, whole and cut at every place with the same result. */
#include "base/text.h"
#include "proto/http_request.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LIMIT = 16 << 10, HEAD_MAX = 32 << 10 };

/* Bytes that come in growing amounts, each time in memory of just that size and at another place, as a buffer
 * that grows does. `bytes` of the last call stays for the caller to look at. */
struct arrival {
    struct http_request request;
    enum http_progress progress;
    char *bytes;
    size_t calls;
};

static void arrival_fini(struct arrival *a)
{
    free(a->bytes);
    a->bytes = NULL;
}

static void arrive(struct arrival *a, struct slice all, size_t len, size_t limit)
{
    char *bytes = malloc(len > 0 ? len : 1);
    assert_non_null(bytes);
    memcpy(bytes, all.p, len);
    free(a->bytes);
    a->bytes = bytes;
    a->progress = http_request_read(&a->request, bytes, len, limit);
    a->calls++;
}

/* First `cut` bytes, then in steps of `step`, until there is a verdict. */
static struct arrival read_in_pieces(struct slice all, size_t cut, size_t step, size_t limit)
{
    struct arrival a = {.progress = HTTP_MORE};
    http_request_init(&a.request);
    for (size_t len = cut; a.progress == HTTP_MORE; len += step) {
        len = len < all.len ? len : all.len;
        arrive(&a, all, len, limit);
        if (len == all.len) {
            break;
        }
    }
    return a;
}

struct verdict {
    enum http_progress progress;
    uint16_t status;
    const char *phrase;
};

static void check_verdict(const struct arrival *a, const struct verdict *v, struct slice all, size_t cut)
{
    bool same = a->progress == v->progress;
    if (same && v->progress == HTTP_BAD) {
        same = a->request.status == v->status && strcmp(a->request.phrase, v->phrase) == 0;
    }
    if (!same) {
        fail_msg("\"%.*s\" cut at %zu: progress %d, status %d, \"%s\"; expected %d, %d, \"%s\"",
            all.len < 200 ? (int)all.len : 200, all.p, cut, a->progress, a->request.status,
            a->progress == HTTP_BAD ? a->request.phrase : "", v->progress, v->status, v->phrase);
    }
}

/* Whole, byte by byte, and (of short ones) in two pieces cut at every place. */
static void check(struct slice all, size_t limit, struct verdict v)
{
    struct arrival a = read_in_pieces(all, all.len, 1, limit);
    check_verdict(&a, &v, all, all.len);
    arrival_fini(&a);
    for (size_t cut = 0; all.len < 1000 && cut < all.len; cut++) {
        a = read_in_pieces(all, cut, all.len, limit);
        check_verdict(&a, &v, all, cut);
        arrival_fini(&a);
    }
    size_t step = all.len < 1000 ? 1 : 997;
    a = read_in_pieces(all, 0, step, limit);
    check_verdict(&a, &v, all, 0);
    arrival_fini(&a);
}

static struct verdict refused(const char *phrase)
{
    return (struct verdict){HTTP_BAD, 400, phrase};
}

static const struct verdict done = {HTTP_DONE, 0, ""};
static const struct verdict more = {HTTP_MORE, 0, ""};

static void heads_that_are_taken(void **state)
{
    (void)state;
    static const struct slice heads[] = {
        SLICE("GET / HTTP/1.1\r\n\r\n"), SLICE("\r\nGET / HTTP/1.1\r\n\r\n"),
        SLICE("GET /a?b=c%20d HTTP/1.1\r\nHost: a.example\r\nX:\r\nY: \t \r\n\r\n"),
        SLICE("G!#$%&'*+-.^_`|~09 * HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: any\tthing \xC3\xA9\xFF\r\n\r\n"),
        SLICE("GET http://a.example/ HTTP/1.1\r\nhost:a.example\r\n\r\n"),
        SLICE("CONNECT a.example:443 HTTP/1.1\r\n\r\n"),
        SLICE("GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), /* http_head's
                                                                                               affair */
    };
    for (size_t i = 0; i < COUNT(heads); i++) {
        check(heads[i], LIMIT, done);
        for (size_t len = 0; len < heads[i].len; len++) {
            check((struct slice){heads[i].p, len}, LIMIT, more);
        }
    }
}

#define NOT_A_HEADER  "header line is not NAME: VALUE"
#define NO_METHOD     "request line does not begin with a method"
#define NOT_A_REQUEST "request line is not METHOD TARGET HTTP/1.1"
#define WRONG_END     "request line does not end in HTTP/1.1"
#define WRONG_VERSION "only HTTP/1.1 is spoken here"
#define CONTROL       "control character in the request"
#define ENCODE_IT     "request target has a character that must be percent-encoded"
#define LINE_8_BIT    "request line has a character that must be percent-encoded"
#define TLS           "this looks like TLS, and this listener speaks plain HTTP"
#define START         "GET / HTTP/1.1\r\n"

static void heads_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice head;
        const char *phrase;
    } cases[] = {
        /* Line ends. */
        {SLICE("GET / HTTP/1.1\n\n"), "line ends in LF without CR"},
        {SLICE("\nGET / HTTP/1.1\r\n\r\n"), "line ends in LF without CR"},
        {SLICE(START "Host: a\n\r\n"), "line ends in LF without CR"},
        {SLICE(START "Host: a\r\n\n"), "line ends in LF without CR"},
        {SLICE("GET / HTTP/1.1\rHost: a\r\n\r\n"), "CR without LF"},
        {SLICE(START "Host: a\rX: b\r\n\r\n"), "CR without LF"},
        {SLICE(START "Host: a\r\r\n\r\n"), "CR without LF"},
        {SLICE(START "\rX"), "CR without LF"},
        {SLICE("\r\r\n"), "CR without LF"},
        {SLICE("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), "request line is empty"},
        /* Characters. */
        {SLICE(START "Host: a\0b\r\n\r\n"), CONTROL},
        {SLICE("G\0T / HTTP/1.1\r\n\r\n"), CONTROL},
        {SLICE(START "Host: a\x7F\r\n\r\n"), CONTROL},
        {SLICE(START "Host: a\x0B\r\n\r\n"), CONTROL},
        {SLICE(START "Host: \x1B[31m\r\n\r\n"), CONTROL},
        {SLICE("GET /\xC3\xA9 HTTP/1.1\r\n\r\n"), LINE_8_BIT},
        {SLICE("\xC7\xC5T / HTTP/1.1\r\n\r\n"), LINE_8_BIT},
        {SLICE("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"), TLS},
        {SLICE("\x17\x03\x01"), CONTROL},
        /* The request line. */
        {SLICE("GET\r\n\r\n"), NO_METHOD},
        {SLICE(" GET / HTTP/1.1\r\n\r\n"), NO_METHOD},
        {SLICE("GET\t/ HTTP/1.1\r\n\r\n"), NO_METHOD},
        {SLICE("G(T / HTTP/1.1\r\n\r\n"), NO_METHOD},
        {SLICE(": / HTTP/1.1\r\n\r\n"), NO_METHOD},
        {SLICE("GET /\r\n\r\n"), NOT_A_REQUEST}, /* HTTP/0.9 */
        {SLICE("GET  HTTP/1.1\r\n\r\n"), NOT_A_REQUEST},
        {SLICE("GET HTTP/1.1\r\n\r\n"), NOT_A_REQUEST},
        {SLICE("GET  / HTTP/1.1\r\n\r\n"), NOT_A_REQUEST},
        {SLICE("GET /\t HTTP/1.1\r\n\r\n"), ENCODE_IT},
        {SLICE("GET / a HTTP/1.1\r\n\r\n"), WRONG_END},
        {SLICE("GET /  HTTP/1.1\r\n\r\n"), WRONG_END},
        {SLICE("GET / \r\n\r\n"), WRONG_END},
        {SLICE("GET / http/1.1\r\n\r\n"), WRONG_END},
        {SLICE("GET / HTTP/1.1 \r\n\r\n"), WRONG_VERSION},
        {SLICE("GET / HTTP/1.0\r\n\r\n"), WRONG_VERSION},
        {SLICE("GET / HTTP/1.10\r\n\r\n"), WRONG_VERSION},
        {SLICE("GET / HTTP/0.9\r\n\r\n"), WRONG_VERSION},
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), WRONG_VERSION},
        /* Headers. */
        {SLICE(START "Host: a\r\n folded\r\n\r\n"), "header line is folded"},
        {SLICE(START "Host: a\r\n\tfolded\r\n\r\n"), "header line is folded"},
        {SLICE(START " Host: a\r\n\r\n"), "header line is folded"},
        {SLICE(START "Host: a\r\n \r\n\r\n"), "header line is folded"},
        {SLICE(START "Host : a\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "Transfer-Encoding\t: chunked\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START ": a\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "Host\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "Ho st: a\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "H\xC3\xB6st: a\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "\"Host\": a\r\n\r\n"), NOT_A_HEADER},
        {SLICE(START "GET /second HTTP/1.1\r\n\r\n"), NOT_A_HEADER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check(cases[i].head, LIMIT, refused(cases[i].phrase));
    }
}

static struct slice text_repeat(struct text *t, char c, size_t n)
{
    while (n-- > 0) {
        text_add(t, (struct slice){&c, 1});
    }
    return text_slice(t);
}

/* "GET /aaa… HTTP/1.1" CRLF of exactly `len` bytes, and behind it a head of exactly `total`. */
static struct slice head_of(char *array, size_t line_len, size_t total)
{
    struct text t;
    text_init(&t, array, HEAD_MAX);
    text_add(&t, SLICE("GET /"));
    text_repeat(&t, 'a', line_len - strlen("GET / HTTP/1.1\r\n"));
    text_add(&t, SLICE(" HTTP/1.1\r\n"));
    assert_int_equal(t.len, line_len);
    if (total > line_len + 2) {
        text_add(&t, SLICE("X:"));
        text_repeat(&t, 'b', total - t.len - 4);
        text_add(&t, SLICE("\r\n"));
    }
    text_add(&t, SLICE("\r\n"));
    assert_int_equal(t.len, total);
    assert_false(t.cut);
    return text_slice(&t);
}

static void limits_at_their_exact_byte(void **state)
{
    (void)state;
    static const struct verdict long_line = {HTTP_BAD, 414, "request line is over the limit"};
    static const struct verdict long_head = {HTTP_BAD, 431, "request header is over the limit"};
    static const size_t limits[] = {64, 512, LIMIT};
    static char array[HEAD_MAX];
    for (size_t i = 0; i < COUNT(limits); i++) {
        size_t limit = limits[i];
        check(head_of(array, 20, limit), limit, done);
        check(head_of(array, 20, limit + 1), limit, long_head);
        check(head_of(array, 20, limit + 100), limit, long_head);
        check(head_of(array, limit - 2, limit), limit, done);
        check(head_of(array, limit, limit + 2), limit, long_head); /* the line is in it, the rest is not */
        check(head_of(array, limit + 1, limit + 3), limit, long_line);
        check(head_of(array, limit + 100, limit + 102), limit, long_line);
        /* One byte short of the limit may yet end well, the byte at the limit may not. */
        struct slice endless = head_of(array, limit + 100, limit + 102);
        check((struct slice){endless.p, limit - 1}, limit, more);
        check((struct slice){endless.p, limit}, limit, long_line);
    }
    /* What is wrong before the limit is what is told. */
    check(SLICE("GET /\n and more than the limit"), 10, refused("line ends in LF without CR"));
}

static struct slice head_with_fields(char *array, size_t fields)
{
    struct text t;
    text_init(&t, array, HEAD_MAX);
    text_add(&t, SLICE(START));
    for (size_t i = 0; i < fields; i++) {
        text_addf(&t, "F%zu: v%zu\r\n", i, i);
    }
    text_add(&t, SLICE("\r\n"));
    return text_slice(&t);
}

static void a_hundred_headers(void **state)
{
    (void)state;
    static char array[HEAD_MAX];
    check(head_with_fields(array, HTTP_FIELDS_MAX), LIMIT, done);
    check(head_with_fields(array, HTTP_FIELDS_MAX + 1), LIMIT,
        (struct verdict){HTTP_BAD, 431, "too many header lines"});
    struct arrival a = read_in_pieces(head_with_fields(array, HTTP_FIELDS_MAX), 0, 7, LIMIT);
    assert_int_equal(a.request.field_count, HTTP_FIELDS_MAX);
    struct slice last = http_request_slice(a.bytes, a.request.fields[HTTP_FIELDS_MAX - 1].value);
    assert_true(slice_eq(last, SLICE("v99")));
    arrival_fini(&a);
}

static void what_is_found_and_what_follows(void **state)
{
    (void)state;
    static const char head[] =
        "\r\nGET /a?b HTTP/1.1\r\nHost: a.example \r\nX-Empty:\r\nList: a ,b\r\nhost:B\r\n"
        "list:\tC\t,,d e\r\n\r\n";
    static const char all[] =
        "\r\nGET /a?b HTTP/1.1\r\nHost: a.example \r\nX-Empty:\r\nList: a ,b\r\nhost:B\r\n"
        "list:\tC\t,,d e\r\n\r\n\r\nGET / HTTP/1.0\n\x16";
    for (size_t step = 1; step <= sizeof all; step++) {
        struct arrival a = read_in_pieces(SLICE(all), 0, step, LIMIT);
        const struct http_request *r = &a.request;
        struct slice value;
        assert_int_equal(a.progress, HTTP_DONE);
        assert_int_equal(r->head_len, sizeof head - 1);
        assert_true(slice_eq(http_request_slice(a.bytes, r->method), SLICE("GET")));
        assert_true(slice_eq(http_request_slice(a.bytes, r->target), SLICE("/a?b")));
        assert_int_equal(r->field_count, 5);
        assert_int_equal(http_request_field(r, a.bytes, SLICE("HOST"), &value), 2);
        assert_true(slice_eq(value, SLICE("a.example")));
        assert_int_equal(http_request_field(r, a.bytes, SLICE("x-empty"), &value), 1);
        assert_int_equal(value.len, 0);
        assert_int_equal(http_request_field(r, a.bytes, SLICE("Hos"), &value), 0);
        assert_int_equal(value.len, 0);
        assert_true(http_request_has_token(r, a.bytes, SLICE("list"), SLICE("A")));
        assert_true(http_request_has_token(r, a.bytes, SLICE("List"), SLICE("b")));
        assert_true(http_request_has_token(r, a.bytes, SLICE("list"), SLICE("c")));
        assert_false(http_request_has_token(r, a.bytes, SLICE("list"), SLICE("d")));
        assert_false(http_request_has_token(r, a.bytes, SLICE("host"), SLICE("a")));
        arrival_fini(&a);
    }
}

static void tokens(void **state)
{
    (void)state;
    assert_true(http_is_token(SLICE("a")));
    assert_true(http_is_token(SLICE("!#$%&'*+-.^_`|~09AZaz")));
    assert_false(http_is_token(SLICE("")));
    unsigned good = 0;
    for (unsigned c = 0; c <= 0xFF; c++) {
        char text[3] = {'a', (char)c, 'b'};
        good += http_is_token((struct slice){text, 3}) ? 1 : 0;
    }
    assert_int_equal(good, 10 + 26 + 26 + 15); /* RFC 9110 5.6.2 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_are_taken),
        cmocka_unit_test(heads_that_are_refused),
        cmocka_unit_test(limits_at_their_exact_byte),
        cmocka_unit_test(a_hundred_headers),
        cmocka_unit_test(what_is_found_and_what_follows),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
