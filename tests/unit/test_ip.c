/* base/ip and base/endpoint. */
#include "base/endpoint.h"
#include "base/ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted; /* NULL: no address */
    } cases[] = {
        {"10.0.0.1", "10.0.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"::1", "::1"},
        {"::", "::"},
        {"2001:DB8:0:0::7", "2001:db8::7"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"1234:1234:1234:1234:1234:1234:1234:1234", "1234:1234:1234:1234:1234:1234:1234:1234"},
        {"", NULL},
        {"10.0.0", NULL},
        {"10.0.0.256", NULL},
        {"10.0.0.01", NULL},
        {"10.0.0.1 ", NULL},
        {"[::1]", NULL},
        {"::1%lo", NULL},
        {"10.0.0.1:80", NULL},
        {"localhost", NULL},
        {"1234:1234:1234:1234:1234:1234:1234:1234:1234:1234", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_addr addr;
        char out[IP_TEXT_MAX];
        bool fine = ip_parse(slice_from(cases[i].text), &addr);
        assert_int_equal(fine, cases[i].formatted != NULL);
        if (!fine)
            continue;
        ip_format(&addr, out);
        assert_string_equal(out, cases[i].formatted);
        assert_int_equal(ip_is_v4(&addr), strchr(cases[i].formatted, '.') != NULL);
    }
    struct ip_addr addr;
    assert_false(ip_parse((struct slice){"10.0.0.1\0x", 10}, &addr));
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *net, *addr;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"::/0", "2001:db8::1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_net net;
        struct ip_addr addr;
        assert_true(ip_net_parse(slice_from(cases[i].net), &net, NULL));
        assert_true(ip_parse(slice_from(cases[i].addr), &addr));
        assert_int_equal(ip_net_contains(&net, &addr), cases[i].inside);
    }
}

static void networks_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "is not an address"},
        {"10.0.0.0/", "0 to 32"},
        {"10.0.0.0/33", "0 to 32"},
        {"10.0.0.0/-1", "0 to 32"},
        {"10.0.0.0/8/8", "0 to 32"},
        {"fd00::/129", "0 to 128"},
        {"10.0.0.1/8", "bits set behind its prefix"},
        {"fd00::1/64", "bits set behind its prefix"},
        {"10.0.0.0/255.0.0.0", "0 to 32"},
        {"localhost/8", "is not an address"},
        {"/8", "is not an address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_net net;
        const char *why = "";
        assert_false(ip_net_parse(slice_from(cases[i].text), &net, &why));
        assert_non_null(strstr(why, cases[i].why));
        assert_false(ip_net_parse(slice_from(cases[i].text), &net, NULL));
    }
}

static void networks_cover_networks(void **state)
{
    (void)state;
    static const struct {
        const char *outer, *inner;
        bool covers;
    } cases[] = {
        {"10.0.0.0/8", "10.1.0.0/16", true},
        {"10.0.0.0/8", "10.0.0.0/8", true},
        {"10.1.0.0/16", "10.0.0.0/8", false},
        {"10.0.0.0/8", "11.0.0.0/16", false},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"0.0.0.0/0", "fd00::/8", false},
        {"::/0", "fd00::/8", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_net outer, inner;
        assert_true(ip_net_parse(slice_from(cases[i].outer), &outer, NULL));
        assert_true(ip_net_parse(slice_from(cases[i].inner), &inner, NULL));
        assert_int_equal(ip_net_covers(&outer, &inner), cases[i].covers);
    }
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port;
    } cases[] = {
        {"10.0.0.1:80", "10.0.0.1", 80},
        {"[::1]:80", "::1", 80},
        {":8080", "", 8080},
        {"localhost:0", "localhost", 0},
        {"a-b_c.example.:65535", "a-b_c.example.", 65535},
        {"1host.example:1", "1host.example", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint e;
        const char *why = "";
        char out[ENDPOINT_TEXT_MAX];
        assert_true(endpoint_parse(slice_from(cases[i].text), &e, &why));
        assert_int_equal(e.kind, ENDPOINT_INET);
        assert_string_equal(e.host, cases[i].host);
        assert_int_equal(e.port, cases[i].port);
        endpoint_format(&e, out);
        assert_string_equal(out, cases[i].text);
    }
    struct endpoint e;
    const char *why = "";
    char out[ENDPOINT_TEXT_MAX];
    assert_true(endpoint_parse(SLICE("unix:/run/x.sock"), &e, &why));
    assert_int_equal(e.kind, ENDPOINT_UNIX);
    assert_string_equal(e.path, "/run/x.sock");
    endpoint_format(&e, out);
    assert_string_equal(out, "unix:/run/x.sock");
    assert_true(endpoint_parse(SLICE("unix:run/x"), &e, &why));
    assert_string_equal(e.path, "run/x");
}

static void endpoints_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "has no port"},
        {"localhost", "has no port"},
        {"8080", "has no port"},
        {"10.0.0.1", "has no port"},
        {"::1", "write an IPv6 address in brackets"},
        {"[::1]", "has no port"},
        {"localhost:", "bad port"},
        {"localhost:65536", "bad port"},
        {"localhost:http", "bad port"},
        {"localhost:-1", "bad port"},
        {"2001:db8::1:80:x", "bad port"},
        {"a:b:80", "more than one colon"},
        {"[10.0.0.1]:80", "no IPv6 address in its brackets"},
        {"[::g]:80", "no IPv6 address in its brackets"},
        {"[fe80::1%eth0]:80", "zone"},
        {"[]:80", "no IPv6 address in its brackets"},
        {"*:80", "write :PORT"},
        {"tcp://localhost:80", "scheme"},
        {"10.0.0.300:80", "neither a name nor an address"},
        {"1234:80", "neither a name nor an address"},
        {"a..b:80", "neither a name nor an address"},
        {".:80", "neither a name nor an address"},
        {"a b:80", "neither a name nor an address"},
        {"user@host:80", "neither a name nor an address"},
        {"unix:", "write unix:/path"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint e;
        const char *why = "";
        assert_false(endpoint_parse(slice_from(cases[i].text), &e, &why));
        if (!strstr(why, cases[i].why))
            fail_msg("\"%s\": got \"%s\", want \"%s\"", cases[i].text, why, cases[i].why);
    }
}

static void endpoints_are_bounded(void **state)
{
    (void)state;
    struct endpoint e;
    const char *why = "";
    char text[400] = "unix:";
    memset(text + 5, 'p', 107);
    assert_true(endpoint_parse((struct slice){text, 5 + 107}, &e, &why));
    assert_int_equal(strlen(e.path), 107);
    text[5 + 107] = 'p';
    assert_false(endpoint_parse((struct slice){text, 5 + 108}, &e, &why));
    assert_non_null(strstr(why, "too long"));
    assert_false(endpoint_parse((struct slice){"unix:a\0b", 8}, &e, &why));
    assert_non_null(strstr(why, "NUL"));
    for (size_t i = 0; i < 255; i++)
        text[i] = i % 50 == 49 ? '.' : 'h';
    memcpy(text + 255, ":80", 3);
    assert_true(endpoint_parse((struct slice){text, 258}, &e, &why));
    memcpy(text + 255, "h:80", 4);
    assert_false(endpoint_parse((struct slice){text, 259}, &e, &why));
    assert_non_null(strstr(why, "too long"));
    memset(text, 'h', 64);
    memcpy(text + 64, ":80", 3);
    assert_false(endpoint_parse((struct slice){text, 67}, &e, &why)); /* a label has at most 63 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(networks),
        cmocka_unit_test(networks_that_are_none),
        cmocka_unit_test(networks_cover_networks),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(endpoints_that_are_none),
        cmocka_unit_test(endpoints_are_bounded),
    };
    return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
