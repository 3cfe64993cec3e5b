/* proto/proxy_header and proto/crc32c: every header whole, in pieces, and with the client's bytes behind it.
 */
#include "proto/crc32c.h"
#include "proto/proxy_header.h"
#include "proto/proxy_v2.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In memory of just that size, so that a sanitizer sees a step too far. */
static enum proxy_progress read_exactly(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    enum proxy_progress progress = proxy_header_read(copy, len, header);
    header->tlvs = (struct slice){"", header->tlvs.len}; /* gone with the copy */
    free(copy);
    return progress;
}

static void assert_same(const struct proxy_header *a, const struct proxy_header *b)
{
    assert_int_equal(a->len, b->len);
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->source, &b->source, sizeof a->source);
    assert_memory_equal(&a->destination, &b->destination, sizeof a->destination);
    assert_int_equal(a->source_port, b->source_port);
    assert_int_equal(a->destination_port, b->destination_port);
    assert_int_equal(a->tlvs.len, b->tlvs.len);
}

/* Takes the header `bytes` whole: MORE at each split point before its end, and the same with bytes behind. */
static struct proxy_header read_good(const uint8_t *bytes, size_t len)
{
    struct proxy_header header, again;
    for (size_t part = 0; part < len; part++) {
        if (read_exactly(bytes, part, &header) != PROXY_MORE) {
            fail_msg("%zu of %zu bytes: \"%s\"", part, len, header.phrase);
        }
    }
    if (read_exactly(bytes, len, &header) != PROXY_DONE) {
        fail_msg("\"%.*s\": \"%s\"", (int)len, (const char *)bytes, header.phrase);
    }
    assert_int_equal(header.len, len);
    uint8_t behind[PROXY_HEADER_MAX + 8];
    memcpy(behind, bytes, len);
    memcpy(behind + len, "GET /\r\n\r", 8);
    for (size_t more = 1; more <= 8; more++) {
        assert_int_equal(read_exactly(behind, len + more, &again), PROXY_DONE);
        assert_same(&header, &again);
    }
    return header;
}

/* At some point it is BAD, before that MORE, and from then on BAD with the same phrase. */
static void check_bad(const uint8_t *bytes, size_t len, const char *phrase)
{
    struct proxy_header header;
    bool is_bad = false;
    for (size_t part = 0; part <= len; part++) {
        enum proxy_progress progress = read_exactly(bytes, part, &header);
        if (progress != (is_bad ? PROXY_BAD : PROXY_MORE)) {
            is_bad = true;
            assert_int_equal(progress, PROXY_BAD);
        }
        if (is_bad && strcmp(header.phrase, phrase) != 0) {
            fail_msg("%.*s: \"%s\", expected \"%s\"", (int)len, (const char *)bytes, header.phrase, phrase);
        }
    }
    assert_true(is_bad);
}

static void check_bad_line(const char *line, const char *phrase)
{
    check_bad((const uint8_t *)line, strlen(line), phrase);
}

static void check_addresses(const struct proxy_header *header, const char *source, unsigned source_port,
    const char *destination, unsigned destination_port)
{
    char text[IP_TEXT_MAX];
    assert_int_equal(header->kind, PROXY_SOURCE_INET);
    ip_format(&header->source, text);
    assert_string_equal(text, source);
    ip_format(&header->destination, text);
    assert_string_equal(text, destination);
    assert_int_equal(header->source_port, source_port);
    assert_int_equal(header->destination_port, destination_port);
}

static void checksums(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c_end(crc32c_add(CRC32C_INIT, (const uint8_t *)"123456789", 9)), 0xE3069283);
    assert_int_equal(crc32c_end(CRC32C_INIT), 0);
    memset(bytes, 0, sizeof bytes); /* RFC 3720 B.4 */
    assert_int_equal(crc32c_end(crc32c_add(CRC32C_INIT, bytes, sizeof bytes)), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(crc32c_end(crc32c_add(CRC32C_INIT, bytes, sizeof bytes)), 0x62A8AB43);
}

static void version_1(void **state)
{
    (void)state;
    static const struct {
        const char *line, *source, *destination;
        unsigned source_port, destination_port;
    } cases[] = {
        {"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", "192.0.2.7", "10.0.0.1", 56324, 443},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", "255.255.255.255",
            65535, 65535},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", "0.0.0.0", 0, 0},
        {"PROXY TCP6 2001:db8::7 ::1 1 80\r\n", "2001:db8::7", "::1", 1, 80},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 80\r\n", "192.0.2.7", "::1", 1, 80},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
            65535},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct proxy_header header = read_good((const uint8_t *)cases[i].line, strlen(cases[i].line));
        check_addresses(
            &header, cases[i].source, cases[i].source_port, cases[i].destination, cases[i].destination_port);
        assert_int_equal(header.tlvs.len, 0);
    }
}

static void version_1_unknown(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN whatever else\r\n",
        /* The longest line of all: 107 bytes. */
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    };
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct proxy_header header = read_good((const uint8_t *)lines[i], strlen(lines[i]));
        assert_int_equal(header.kind, PROXY_SOURCE_OWN);
    }
    assert_int_equal(strlen(lines[2]), 107);
}

#define NO_HEADER   "there is no PROXY header"
#define NO_PROTOCOL "PROXY header is of another protocol than TCP4, TCP6 and UNKNOWN"
#define BAD_ADDRESS "PROXY header has a bad address"
#define BAD_PORT    "PROXY header has a bad port"
#define NO_CRLF     "PROXY header does not end in CRLF"

static void version_1_that_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *line, *phrase;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", NO_HEADER},
        {"\x16\x03\x01", NO_HEADER},
        {"proxy TCP4", NO_HEADER},
        {"PROXY\r\n", NO_HEADER},
        {"PROXYTCP4", NO_HEADER},
        {" PROXY TCP4", NO_HEADER},
        {"PROXY \r\n", NO_PROTOCOL},
        {"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n", NO_PROTOCOL},
        {"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n", NO_PROTOCOL},
        {"PROXY tcp4 192.0.2.7 10.0.0.1 1 2\r\n", NO_PROTOCOL},
        {"PROXY UNKNOWNS\r\n", NO_PROTOCOL},
        {"PROXY TCP4\t192.0.2.7 10.0.0.1 1 2\r\n", NO_PROTOCOL},
        {"PROXY TCP4\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2.7\r\n", BAD_ADDRESS},
        {"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 ::1 ::1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2.7 ::1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP6 [::1] ::1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", BAD_ADDRESS},
        {"PROXY TCP4 192.0.2.7 10.0.0.1\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 \r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 00 2\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 0x50\r\n", BAD_PORT},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n", NO_CRLF},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\rx\n", NO_CRLF},
        {"PROXY UNKNOWN\n\r\n", NO_CRLF},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n",
            "PROXY header is over 107 bytes"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_bad_line(cases[i].line, cases[i].phrase);
    }
    check_bad((const uint8_t *)"PROXY TCP4 192.0.2.7\0 10.0.0.1 1 2\r\n", 37, BAD_ADDRESS);
}

/* ---- Version 2. */

struct made {
    uint8_t bytes[PROXY_HEADER_MAX + 16];
    size_t len;
};

static void add(struct made *made, const void *bytes, size_t n)
{
    memcpy(made->bytes + made->len, bytes, n);
    made->len += n;
}

/* The start, with a length of all that is then added. */
static struct made begin_v2(unsigned command, unsigned family)
{
    struct made made = {.len = 0};
    add(&made, "\r\n\r\n\0\r\nQUIT\n", 12);
    add(&made, (const uint8_t[]){(uint8_t)command, (uint8_t)family, 0, 0}, 4);
    return made;
}

static void end_v2(struct made *made)
{
    made->bytes[14] = (uint8_t)((made->len - 16) >> 8);
    made->bytes[15] = (uint8_t)(made->len - 16);
}

static const uint8_t tcp4[] = {192, 0, 2, 7, 10, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB};
static const uint8_t tcp6[] = {0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB};

static struct made made_tcp4(const void *tlvs, size_t n)
{
    struct made made = begin_v2(0x21, 0x11);
    add(&made, tcp4, sizeof tcp4);
    add(&made, tlvs, n);
    end_v2(&made);
    return made;
}

static void version_2(void **state)
{
    (void)state;
    struct made made = made_tcp4("", 0);
    struct proxy_header header = read_good(made.bytes, made.len);
    check_addresses(&header, "192.0.2.7", 56324, "10.0.0.1", 443);

    made = begin_v2(0x21, 0x21);
    add(&made, tcp6, sizeof tcp6);
    end_v2(&made);
    header = read_good(made.bytes, made.len);
    check_addresses(&header, "2001:db8::7", 56324, "::1", 443);

    made = begin_v2(0x21, 0x31);
    uint8_t paths[216] = "/run/a.sock";
    add(&made, paths, sizeof paths);
    end_v2(&made);
    header = read_good(made.bytes, made.len);
    assert_int_equal(header.kind, PROXY_SOURCE_UNIX);
}

static void version_2_with_the_connections_own_address(void **state)
{
    (void)state;
    static const struct {
        uint8_t command, family;
        const char *rest;
    } cases[] = {
        {0x20, 0x00, ""},
        {0x20, 0x11, "not an address"},
        {0x20, 0xFF, "LOCAL has no family to look at"},
        {0x21, 0x00, ""},
        {0x21, 0x00, "of no family that we know"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct made made = begin_v2(cases[i].command, cases[i].family);
        add(&made, cases[i].rest, strlen(cases[i].rest));
        end_v2(&made);
        struct proxy_header header = read_good(made.bytes, made.len);
        assert_int_equal(header.kind, PROXY_SOURCE_OWN);
    }
}

static void version_2_that_is_none(void **state)
{
    (void)state;
    static const char *const no_command = "PROXY header is not of version 2, LOCAL or PROXY";
    static const char *const no_family = "PROXY header is not of TCP over IPv4 or IPv6, or of a unix stream";
    static const struct {
        uint8_t command, family;
        size_t rest;
        bool by_family; /* that is what is wrong with it */
    } cases[] = {
        {0x11, 0x11, 12, false},
        {0x31, 0x11, 12, false},
        {0x22, 0x11, 12, false},
        {0x2F, 0x11, 12, false},
        {0x21, 0x12, 12, true}, /* datagrams */
        {0x21, 0x22, 36, true},
        {0x21, 0x32, 216, true},
        {0x21, 0x10, 12, true}, /* a family, and no transport */
        {0x21, 0x13, 12, true},
        {0x21, 0x41, 216, true},
        {0x21, 0x01, 12, true},
        {0x21, 0x11, 11, true}, /* too short for its addresses */
        {0x21, 0x21, 35, true},
        {0x21, 0x31, 215, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct made made = begin_v2(cases[i].command, cases[i].family);
        made.len += cases[i].rest;
        end_v2(&made);
        check_bad(made.bytes, made.len, cases[i].by_family ? no_family : no_command);
    }
    check_bad_line("\r\n\r\nGET / HTTP/1.1\r\n", NO_HEADER);
    check_bad((const uint8_t *)"\r\n\r\n\0\r\nQUIT\r", 12, NO_HEADER);
}

static void version_2_is_bounded(void **state)
{
    (void)state;
    struct made made = begin_v2(0x21, 0x11);
    add(&made, tcp4, sizeof tcp4);
    size_t room = PROXY_HEADER_MAX - made.len - 3;
    add(&made, (const uint8_t[]){0x04, (uint8_t)(room >> 8), (uint8_t)room}, 3);
    memset(made.bytes + made.len, 0, room);
    made.len += room;
    end_v2(&made);
    assert_int_equal(made.len, PROXY_HEADER_MAX);
    struct proxy_header header = read_good(made.bytes, made.len);
    check_addresses(&header, "192.0.2.7", 56324, "10.0.0.1", 443);

    made.len++;
    end_v2(&made);
    check_bad(made.bytes, 16, "PROXY header is over 4096 bytes");
    made = begin_v2(0x20, 0x00);
    made.bytes[14] = made.bytes[15] = 0xFF;
    check_bad(made.bytes, made.len, "PROXY header is over 4096 bytes");
}

static void tlvs(void **state)
{
    (void)state;
    static const uint8_t good[] = {0x02, 0, 3, 'a', '.', 'b', 0xE0, 0, 0, 0x05, 0, 1, 'x'};
    struct made made = made_tcp4(good, sizeof good);
    struct proxy_header header = read_good(made.bytes, made.len);
    assert_int_equal(header.tlvs.len, sizeof good);
    assert_int_equal(proxy_header_read(made.bytes, made.len, &header), PROXY_DONE);
    struct slice rest = header.tlvs, value;
    uint8_t type = 0;
    assert_true(proxy_header_tlv(&rest, &type, &value));
    assert_int_equal(type, 0x02);
    assert_true(slice_eq(value, SLICE("a.b")));
    assert_true(proxy_header_tlv(&rest, &type, &value));
    assert_int_equal(type, 0xE0);
    assert_int_equal(value.len, 0);
    assert_true(proxy_header_tlv(&rest, &type, &value));
    assert_true(slice_eq(value, SLICE("x")));
    assert_false(proxy_header_tlv(&rest, &type, &value));
    assert_int_equal(rest.len, 0);

    for (size_t cut = 1; cut < sizeof good; cut++) {
        bool whole = cut == 6 || cut == 9;
        made = made_tcp4(good, cut);
        if (whole) {
            (void)read_good(made.bytes, made.len);
        } else {
            check_bad(made.bytes, made.len, "PROXY header has a TLV that goes beyond it");
        }
    }
}

static void a_checksum(void **state)
{
    (void)state;
    static const char *const wrong = "PROXY header has another checksum than it says";
    static const char *const none = "PROXY header has a checksum that is none";
    static const uint8_t around[] = {0x02, 0, 1, 'a', 0x03, 0, 4, 0, 0, 0, 0, 0x05, 0, 1, 'x'};
    struct made made = made_tcp4(around, sizeof around);
    size_t at = 16 + sizeof tcp4 + 7;
    uint32_t crc = crc32c_end(crc32c_add(CRC32C_INIT, made.bytes, made.len));
    for (size_t i = 0; i < 4; i++) {
        made.bytes[at + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    struct proxy_header header = read_good(made.bytes, made.len);
    check_addresses(&header, "192.0.2.7", 56324, "10.0.0.1", 443);
    /* Any other bit in what it says of the client. */
    for (size_t i = 16; i < made.len; i++) {
        if (i >= at - 3 && i < at) {
            continue; /* then it is no checksum, or none that long */
        }
        made.bytes[i] ^= 0x40;
        assert_int_equal(proxy_header_read(made.bytes, made.len, &header), PROXY_BAD);
        made.bytes[i] ^= 0x40;
    }
    made.bytes[at] ^= 1;
    check_bad(made.bytes, made.len, wrong);

    made = made_tcp4("\x03\0\x03\0\0\0", 6);
    check_bad(made.bytes, made.len, none);
    made = made_tcp4("\x03\0\0", 3);
    check_bad(made.bytes, made.len, none);
    made = made_tcp4("\x03\0\x05\0\0\0\0\0", 8);
    check_bad(made.bytes, made.len, none);
}

/* The checksum by another way than the table. */
static void a_checksum_bit_by_bit(void **state)
{
    (void)state;
    struct made made = made_tcp4("\x03\0\x04\0\0\0\0", 7);
    uint32_t crc = 0xFFFFFFFF; /* bit by bit, as the definition has it */
    for (size_t i = 0; i < made.len; i++) {
        crc ^= made.bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
        }
    }
    crc = ~crc;
    for (size_t i = 0; i < 4; i++) {
        made.bytes[made.len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    (void)read_good(made.bytes, made.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),
        cmocka_unit_test(version_1),
        cmocka_unit_test(version_1_unknown),
        cmocka_unit_test(version_1_that_is_none),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_with_the_connections_own_address),
        cmocka_unit_test(version_2_that_is_none),
        cmocka_unit_test(version_2_is_bounded),
        cmocka_unit_test(tlvs),
        cmocka_unit_test(a_checksum),
        cmocka_unit_test(a_checksum_bit_by_bit),
    };
    return cmocka_run_group_tests_name("proxy_header", tests, NULL, NULL);
}
