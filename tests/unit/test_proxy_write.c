/* proto/proxy_write: byte for byte, and as proto/proxy_header reads it. */
#include "proto/proxy_header.h"
#include "proto/proxy_v2.h"
#include "proto/proxy_write.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct proxy_facts facts_of(const char *source, unsigned port, const char *destination, unsigned to)
{
    struct proxy_facts facts = {
        .known = true, .source_port = (uint16_t)port, .destination_port = (uint16_t)to};
    assert_true(ip_parse(slice_from(source), &facts.source));
    assert_true(ip_parse(slice_from(destination), &facts.destination));
    return facts;
}

/* The value of the one TLV of that type; an empty slice without p where there is none. */
static struct slice tlv(struct slice rest, uint8_t wanted)
{
    struct slice value, found = {NULL, 0};
    uint8_t type = 0;
    while (proxy_header_tlv(&rest, &type, &value)) {
        if (type == wanted) {
            assert_null(found.p);
            found = value;
        }
    }
    assert_int_equal(rest.len, 0);
    return found;
}

static void check_round_trip(const struct proxy_facts *facts)
{
    uint8_t out[PROXY_WRITE_V2_MAX];
    struct proxy_header header;
    for (int version = 1; version <= 2; version++) {
        size_t len = version == 1 ? proxy_write_v1(facts, out) : proxy_write_v2(facts, out);
        assert_int_equal(proxy_header_read(out, len, &header), PROXY_DONE);
        assert_int_equal(header.len, len);
        assert_int_equal(header.kind, facts->known ? PROXY_SOURCE_INET : PROXY_SOURCE_OWN);
        if (facts->known) {
            assert_memory_equal(&header.source, &facts->source, sizeof header.source);
            assert_memory_equal(&header.destination, &facts->destination, sizeof header.destination);
            assert_int_equal(header.source_port, facts->source_port);
            assert_int_equal(header.destination_port, facts->destination_port);
        }
    }
}

static void version_1(void **state)
{
    (void)state;
    static const struct {
        const char *source, *destination, *line;
    } cases[] = {
        {"192.0.2.7", "10.0.0.1", "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"},
        {"2001:db8::7", "::1", "PROXY TCP6 2001:db8::7 ::1 56324 443\r\n"},
        {"192.0.2.7", "::1", "PROXY TCP6 ::ffff:192.0.2.7 ::1 56324 443\r\n"},
        {"2001:db8::7", "10.0.0.1", "PROXY TCP6 2001:db8::7 ::ffff:10.0.0.1 56324 443\r\n"},
    };
    uint8_t out[PROXY_WRITE_V1_MAX];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct proxy_facts facts = facts_of(cases[i].source, 56324, cases[i].destination, 443);
        assert_int_equal(proxy_write_v1(&facts, out), strlen(cases[i].line));
        assert_memory_equal(out, cases[i].line, strlen(cases[i].line));
        check_round_trip(&facts);
    }
    struct proxy_facts unknown = {.known = false};
    assert_int_equal(proxy_write_v1(&unknown, out), 15);
    assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
    check_round_trip(&unknown);
    struct proxy_facts longest = facts_of(
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    check_round_trip(&longest);
}

static void version_2(void **state)
{
    (void)state;
    static const uint8_t expected[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x21,
        0x11, 0, 19, 192, 0, 2, 7, 10, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB, 0x03, 0, 4};
    uint8_t out[PROXY_WRITE_V2_MAX];
    struct proxy_facts facts = facts_of("192.0.2.7", 56324, "10.0.0.1", 443);
    assert_int_equal(proxy_write_v2(&facts, out), sizeof expected + 4);
    assert_memory_equal(out, expected, sizeof expected);
    check_round_trip(&facts);

    facts = facts_of("2001:db8::7", 56324, "10.0.0.1", 443);
    assert_int_equal(proxy_write_v2(&facts, out), 16 + 36 + 7);
    assert_int_equal(out[13], 0x21);
    check_round_trip(&facts);
}

/* A client without an address: LOCAL, whose receiver passes over the rest. */
static void version_2_unknown(void **state)
{
    (void)state;
    struct proxy_facts facts = {.known = false, .unique_id = SLICE("0123456789abcdef")};
    uint8_t out[PROXY_WRITE_V2_MAX];
    size_t len = proxy_write_v2(&facts, out);
    assert_int_equal(out[12], 0x20);
    assert_int_equal(out[13], 0x00);
    struct slice tlvs = {(const char *)out + 16, len - 16};
    assert_true(slice_eq(tlv(tlvs, PROXY_V2_TYPE_UNIQUE_ID), facts.unique_id));
    assert_int_equal(tlv(tlvs, PROXY_V2_TYPE_CRC32C).len, 4);
    check_round_trip(&facts);
}

static void version_2_says_what_tls_says(void **state)
{
    (void)state;
    static const struct {
        bool has_cert, resumed, verified;
        const char *start; /* client and verify */
    } cases[] = {
        {false, false, false, "\x01\0\0\0\1"},
        {false, false, true, "\x01\0\0\0\1"},
        {true, false, true, "\x07\0\0\0\0"},
        {true, false, false, "\x07\0\0\0\1"},
        {true, true, true, "\x05\0\0\0\0"},
    };
    uint8_t out[PROXY_WRITE_V2_MAX];
    struct proxy_header header;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct proxy_facts facts = facts_of("192.0.2.7", 56324, "10.0.0.1", 443);
        facts.authority = SLICE("desk.example.com");
        facts.unique_id = SLICE("0123456789abcdef");
        facts.tls = true;
        facts.tls_version = SLICE("TLSv1.3");
        facts.has_client_cert = cases[i].has_cert;
        facts.resumed = cases[i].resumed;
        facts.verified = cases[i].verified;
        facts.client_cn = SLICE("Ann \xC3\xA9");
        size_t len = proxy_write_v2(&facts, out);
        assert_int_equal(proxy_header_read(out, len, &header), PROXY_DONE);
        assert_true(slice_eq(tlv(header.tlvs, PROXY_V2_TYPE_AUTHORITY), facts.authority));
        assert_true(slice_eq(tlv(header.tlvs, PROXY_V2_TYPE_UNIQUE_ID), facts.unique_id));
        struct slice ssl = tlv(header.tlvs, PROXY_V2_TYPE_SSL);
        assert_true(ssl.len > 5);
        assert_memory_equal(ssl.p, cases[i].start, 5);
        struct slice sub = {ssl.p + 5, ssl.len - 5};
        assert_true(slice_eq(tlv(sub, PROXY_V2_SUBTYPE_SSL_VERSION), facts.tls_version));
        struct slice cn = tlv(sub, PROXY_V2_SUBTYPE_SSL_CN);
        assert_true(cases[i].has_cert ? slice_eq(cn, facts.client_cn) : cn.p == NULL);
        check_round_trip(&facts);
    }
}

static void version_2_is_bounded(void **state)
{
    (void)state;
    static char name[300];
    memset(name, 'n', sizeof name);
    struct proxy_facts facts = facts_of("2001:db8::7", 56324, "::1", 443);
    facts.tls = facts.has_client_cert = true;
    facts.authority = facts.client_cn = (struct slice){name, 255};
    facts.unique_id = (struct slice){name, 128};
    facts.tls_version = (struct slice){name, 16};
    uint8_t out[PROXY_WRITE_V2_MAX];
    struct proxy_header header;
    assert_int_equal(proxy_write_v2(&facts, out), 16 + 36 + 7 * 3 + 2 * 255 + 16 + 128 + 5 + 4 - 3);
    check_round_trip(&facts);
    facts.authority.len = facts.client_cn.len = 256;
    facts.unique_id.len = 129;
    facts.tls_version.len = 17;
    size_t len = proxy_write_v2(&facts, out);
    assert_int_equal(len, 16 + 36 + 3 + 5 + 7);
    assert_int_equal(proxy_header_read(out, len, &header), PROXY_DONE);
    assert_null(tlv(header.tlvs, PROXY_V2_TYPE_AUTHORITY).p);
    assert_null(tlv(header.tlvs, PROXY_V2_TYPE_UNIQUE_ID).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_unknown),
        cmocka_unit_test(version_2_says_what_tls_says),
        cmocka_unit_test(version_2_is_bounded),
    };
    return cmocka_run_group_tests_name("proxy_write", tests, NULL, NULL);
}
