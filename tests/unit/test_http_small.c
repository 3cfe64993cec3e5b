/* proto/http_path, http_range, http_date, http_response. */
#include "proto/http_date.h"
#include "proto/http_path.h"
#include "proto/http_range.h"
#include "proto/http_response.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *path; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a%20b", "/a b"},
        {"/%41%7a%7A", "/Azz"},
        {"/%C3%A9", "/\xC3\xA9"},
        {"/%ff", "/\xFF"},
        {"/%0d%0A", "/\r\n"},
        {"/%2e%2E/x", "/../x"},
        {"/a%2Fb", "/a%2Fb"},
        {"/a%2fb", "/a%2fb"},
        {"/a%252Fb", "/a%2Fb"}, /* once, not twice: no slash comes of it */
        {"/a+b", "/a+b"},
        {"/a%5Cb", "/a\\b"},
        {"/%", NULL},
        {"/%4", NULL},
        {"/%%41", NULL},
        {"/%4g", NULL},
        {"/%g4", NULL},
        {"/% 4", NULL},
        {"/%-1", NULL},
        {"/%@1", NULL},
        {"/%`1", NULL},
        {"/%00", NULL},
        {"/a%00.html", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[32];
        size_t len = 99;
        size_t raw_len = strlen(cases[i].raw);
        char *raw = malloc(raw_len + 1); /* of just its size: a sanitizer sees a step too far */
        assert_non_null(raw);
        memcpy(raw + 1, cases[i].raw, raw_len);
        bool good = http_path_decode((struct slice){raw + 1, raw_len}, out, sizeof out, &len);
        free(raw);
        if (good != (cases[i].path != NULL) ||
            (good && !slice_eq((struct slice){out, len}, slice_from(cases[i].path)))) {
            fail_msg("%s: %d \"%.*s\"", cases[i].raw, good, good ? (int)len : 0, out);
        }
    }
}

static void a_path_that_does_not_fit(void **state)
{
    (void)state;
    char out[5] = "!!!!!";
    size_t len = 0;
    assert_true(http_path_decode(SLICE("/%41%42c"), out, 4, &len));
    assert_memory_equal(out, "/ABc!", 5);
    assert_false(http_path_decode(SLICE("/%41%42cd"), out, 4, &len));
    assert_false(http_path_decode(SLICE("/a%2F"), out, 4, &len));
    assert_false(http_path_decode(SLICE("/"), out, 0, &len));
    assert_int_equal(out[4], '!');
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum http_range_verdict verdict;
        uint64_t first, last;
    } cases[] = {
        {"", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-0", 100, HTTP_RANGE_PART, 0, 0},
        {"bytes=0-99", 100, HTTP_RANGE_PART, 0, 99},
        {"bytes=0-100", 100, HTTP_RANGE_PART, 0, 99},
        {"bytes=0-18446744073709551614", 100, HTTP_RANGE_PART, 0, 99},
        {"bytes=10-", 100, HTTP_RANGE_PART, 10, 99},
        {"bytes=99-", 100, HTTP_RANGE_PART, 99, 99},
        {"bytes=100-", 100, HTTP_RANGE_NONE, 0, 0},
        {"bytes=100-200", 100, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-1", 100, HTTP_RANGE_PART, 99, 99},
        {"bytes=-100", 100, HTTP_RANGE_PART, 0, 99},
        {"bytes=-101", 100, HTTP_RANGE_PART, 0, 99},
        {"bytes=-0", 100, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-1", 0, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-", 1, HTTP_RANGE_PART, 0, 0},
        {"BYTES= 5-6\t", 100, HTTP_RANGE_PART, 5, 6},
        {"bytes=007-008", 100, HTTP_RANGE_PART, 7, 8},
        {"bytes=0-", UINT64_MAX, HTTP_RANGE_PART, 0, UINT64_MAX - 1},
        {"bytes=6-5", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=200-150", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=-", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=5", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,5-6", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=--1", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=1-2-3", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=1 - 2", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0x1-2", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-18446744073709551616", 100, HTTP_RANGE_WHOLE, 0, 0},
        {"lines=0-1", 100, HTTP_RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t first = 0, last = 0;
        enum http_range_verdict verdict =
            http_range_read(slice_from(cases[i].value), cases[i].size, &first, &last);
        if (verdict != cases[i].verdict ||
            (verdict == HTTP_RANGE_PART && (first != cases[i].first || last != cases[i].last))) {
            fail_msg(
                "%s: %d, %lu to %lu", cases[i].value, verdict, (unsigned long)first, (unsigned long)last);
        }
    }
}

static void dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_s; /* -1: none */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
        {"", -1},
        {"now", -1},
        {"Sun, 06 Nov 1994 08:49:37 CET", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT+1", -1},
        {"Sun, 06 Nov 1994 08:49 GMT", -1},
        {"Sun, 06 Nov 1994 25:49:37 GMT", -1},
        {"Sun, 99 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Foo 1994 08:49:37 GMT", -1},
        {"784111777", -1},
        {"1994-11-06T08:49:37Z", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT and then so much more", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t unix_s = -1;
        bool good = http_date_parse(slice_from(cases[i].text), &unix_s);
        if (good != (cases[i].unix_s >= 0) || unix_s != cases[i].unix_s) {
            fail_msg("%s: %d, %ld", cases[i].text, good, (long)unix_s);
        }
    }
}

static void dates_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 784111777, 951782400, 1709251199, INT64_C(253402300799)};
    char out[HTTP_DATE_MAX];
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t back = -1;
        http_date_format(times[i], out);
        assert_int_equal(strlen(out), HTTP_DATE_MAX - 1);
        assert_true(http_date_parse(slice_from(out), &back));
        assert_true(back == times[i]);
    }
    http_date_format(784111777, out);
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date_format(INT64_MAX, out); /* a year that HTTP cannot say */
    assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *line;
        const char *also;
    } cases[] = {
        {400, "400 Bad Request", ""},
        {403, "403 Forbidden", ""},
        {404, "404 Not Found", ""},
        {405, "405 Method Not Allowed", "Allow: GET, HEAD\r\n"},
        {408, "408 Request Timeout", ""},
        {414, "414 URI Too Long", ""},
        {416, "416 Range Not Satisfiable", ""},
        {421, "421 Misdirected Request", ""},
        {426, "426 Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {429, "429 Too Many Requests", "Retry-After: 10\r\n"},
        {431, "431 Request Header Fields Too Large", ""},
        {500, "500 Internal Server Error", ""},
        {502, "502 Bad Gateway", ""},
        {503, "503 Service Unavailable", "Retry-After: 10\r\n"},
        {504, "504 Gateway Timeout", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int head_only = 0; head_only <= 1; head_only++) {
            char array[512], expected[512];
            struct text t;
            text_init(&t, expected, sizeof expected);
            text_addf(&t,
                "HTTP/1.1 %s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nSluice-Session: 0123456789abcdef\r\n"
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n%s"
                "Connection: close\r\n\r\n%s",
                cases[i].line, cases[i].also, head_only != 0 ? "" : "no such thing\n");
            text_init(&t, array, sizeof array);
            http_response_refusal(&t, cases[i].status, "no such thing", "GET, HEAD",
                "Sun, 06 Nov 1994 08:49:37 GMT", "0123456789abcdef", head_only != 0);
            assert_string_equal(array, expected);
        }
    }
    char array[512];
    struct text t;
    text_init(&t, array, sizeof array);
    http_response_refusal(&t, 404, "no", "", "then", NULL, false);
    assert_null(strstr(array, "Sluice-Session"));
    assert_string_equal(http_status_text(101), "Switching Protocols");
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(206), "Partial Content");
    assert_string_equal(http_status_text(304), "Not Modified");
    assert_string_equal(http_status_text(418), "");
}

static void switching(void **state)
{
    (void)state;
    char array[512];
    struct text t;
    text_init(&t, array, sizeof array);
    http_response_switching(&t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", (struct slice){NULL, 0}, "0123456789abcdef");
    assert_string_equal(array,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sluice-Session: 0123456789abcdef\r\n\r\n");
    text_init(&t, array, sizeof array);
    http_response_switching(&t, "key", SLICE("binary"), "id");
    assert_string_equal(array,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: key\r\nSluice-Session: id\r\nSec-WebSocket-Protocol: binary\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(a_path_that_does_not_fit),
        cmocka_unit_test(ranges),
        cmocka_unit_test(dates),
        cmocka_unit_test(dates_are_written_as_they_are_read),
        cmocka_unit_test(refusals),
        cmocka_unit_test(switching),
    };
    return cmocka_run_group_tests_name("http_small", tests, NULL, NULL);
}
