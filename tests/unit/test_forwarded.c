/* proto/forwarded: who the client is behind proxies that are trusted; each list in one line and in several.
 */
#include "base/text.h"
#include "proto/forwarded.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ROOM = 4096 };

static struct ip_net trusted[2]; /* 10.0.0.0/8 and fd00::/8 */

static int name_the_trusted(void **state)
{
    (void)state;
    return ip_net_parse(SLICE("10.0.0.0/8"), &trusted[0], NULL) &&
                   ip_net_parse(SLICE("fd00::/8"), &trusted[1], NULL)
               ? 0
               : 1;
}

/* A request with these header lines, each with its CRLF. */
static enum forwarded_verdict read_lines(const char *lines, struct forwarded *found)
{
    char bytes[ROOM];
    struct text t;
    struct http_request request;
    text_init(&t, bytes, sizeof bytes);
    text_addf(&t, "GET / HTTP/1.1\r\nHost: a\r\n%sX-Other: 9.9.9.9\r\n\r\n", lines);
    assert_false(t.cut);
    http_request_init(&request);
    assert_int_equal(http_request_read(&request, bytes, t.len, sizeof bytes), HTTP_DONE);
    return forwarded_read(&request, bytes, trusted, COUNT(trusted), found);
}

static void check_verdict(
    const char *lines, enum forwarded_verdict verdict, const char *client, unsigned port)
{
    struct forwarded found;
    char text[IP_TEXT_MAX];
    if (read_lines(lines, &found) != verdict) {
        fail_msg("%s: another verdict", lines);
    }
    if (verdict == FORWARDED_CLIENT) {
        ip_format(&found.client, text);
        if (strcmp(text, client) != 0 || found.port != port) {
            fail_msg("%s: %s port %u, expected %s port %u", lines, text, (unsigned)found.port, client, port);
        }
    }
}

/* In one line, and cut at each of its commas into two. */
static void check_list(const char *list, enum forwarded_verdict verdict, const char *client, unsigned port)
{
    char lines[ROOM];
    struct text t;
    text_init(&t, lines, sizeof lines);
    text_addf(&t, "X-Forwarded-For: %s\r\n", list);
    check_verdict(lines, verdict, client, port);
    for (const char *comma = strchr(list, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
        text_init(&t, lines, sizeof lines);
        text_addf(&t, "x-forwarded-for:%.*s\r\nX-Between: 8.8.8.8\r\nX-FORWARDED-FOR: %s\r\n",
            (int)(comma - list), list, comma + 1);
        check_verdict(lines, verdict, client, port);
    }
}

static void clients(void **state)
{
    (void)state;
    static const struct {
        const char *list, *client;
        unsigned port;
    } cases[] = {
        {"192.0.2.7", "192.0.2.7", 0},
        {"192.0.2.7:5000", "192.0.2.7", 5000},
        {"192.0.2.7:0", "192.0.2.7", 0},
        {"2001:db8::7", "2001:db8::7", 0},
        {"[2001:db8::7]", "2001:db8::7", 0},
        {"[2001:db8::7]:65535", "2001:db8::7", 65535},
        {"::ffff:192.0.2.7", "192.0.2.7", 0},
        {"[::ffff:192.0.2.7]:1", "192.0.2.7", 1},
        /* The rightmost that is not trusted. */
        {"192.0.2.7, 10.0.0.1", "192.0.2.7", 0},
        {"203.0.113.9, 192.0.2.7", "192.0.2.7", 0},
        {"203.0.113.9, 192.0.2.7:80, 10.0.0.1:99, fd00::1", "192.0.2.7", 80},
        {"203.0.113.9,192.0.2.7,10.0.0.1,[fd00::1]:4", "192.0.2.7", 0},
        {"10.0.0.9, 192.0.2.7, 10.0.0.1", "192.0.2.7", 0},
        {"192.0.2.7, ::ffff:10.0.0.1", "192.0.2.7", 0},
        /* What stands before it is anybody's. */
        {"rubbish, 192.0.2.7, 10.0.0.1", "192.0.2.7", 0},
        {"\"; drop, [, 192.0.2.7", "192.0.2.7", 0},
        /* All trusted: the leftmost. */
        {"10.0.0.3, 10.0.0.2:7, 10.0.0.1", "10.0.0.3", 0},
        {"10.0.0.3:9", "10.0.0.3", 9},
        /* Empty elements do not count. */
        {",192.0.2.7,", "192.0.2.7", 0},
        {"203.0.113.9,,  , 192.0.2.7 ,\t,10.0.0.1, ,", "192.0.2.7", 0},
        {",10.0.0.3,", "10.0.0.3", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_list(cases[i].list, FORWARDED_CLIENT, cases[i].client, cases[i].port);
    }
}

static void nothing_forwarded(void **state)
{
    (void)state;
    check_verdict("", FORWARDED_NONE, NULL, 0);
    check_verdict("Forwarded: for=192.0.2.7\r\nX-Forwarded-For2: 192.0.2.7\r\n", FORWARDED_NONE, NULL, 0);
    check_list("", FORWARDED_NONE, NULL, 0);
    check_list(",, ,", FORWARDED_NONE, NULL, 0);
}

static void no_addresses(void **state)
{
    (void)state;
    static const char *const elements[] = {
        "unknown",
        "_hidden",
        "localhost",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.07",
        "192.0.2.7:",
        "192.0.2.7:65536",
        "192.0.2.7:http",
        "192.0.2.7:1:2",
        "192.0.2.7 80",
        "192.0.2.7;x",
        "\"192.0.2.7\"",
        "[192.0.2.7]",
        "[192.0.2.7]:80",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[2001:db8::7]:",
        "[2001:db8::7]:x",
        "[2001:db8::7] :80",
        "[]",
        "[",
        "]",
        ":",
        ":80",
        "2001:db8::7]",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8:9",
    };
    for (size_t i = 0; i < COUNT(elements); i++) {
        char list[256];
        struct text t;
        check_list(elements[i], FORWARDED_BAD, NULL, 0);
        text_init(&t, list, sizeof list);
        text_addf(&t, "192.0.2.7, %s, 10.0.0.1", elements[i]);
        check_list(list, FORWARDED_BAD, NULL, 0);
        text_init(&t, list, sizeof list);
        text_addf(&t, "%s, 192.0.2.7, 10.0.0.1", elements[i]);
        check_list(list, FORWARDED_CLIENT, "192.0.2.7", 0);
    }
}

static void nobody_is_trusted(void **state)
{
    (void)state;
    static const char bytes[] = "GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n\r\n";
    struct http_request request;
    struct forwarded found;
    char text[IP_TEXT_MAX];
    http_request_init(&request);
    assert_int_equal(http_request_read(&request, bytes, sizeof bytes - 1, ROOM), HTTP_DONE);
    assert_int_equal(forwarded_read(&request, bytes, NULL, 0, &found), FORWARDED_CLIENT);
    ip_format(&found.client, text);
    assert_string_equal(text, "10.0.0.1"); /* as of a proxy on a unix socket */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients),
        cmocka_unit_test(nothing_forwarded),
        cmocka_unit_test(no_addresses),
        cmocka_unit_test(nobody_is_trusted),
    };
    return cmocka_run_group_tests_name("forwarded", tests, name_the_trusted, NULL);
}
