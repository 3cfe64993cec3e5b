/* proto/ws_close: which codes go on the wire, the answer to every Close payload, and how ours is built. */
#include "proto/ws_close.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { CODES = 5001 };

/* RFC 6455 7.4 and the IANA registry, written out as a list of what is refused and of what is not. */
static bool sendable(unsigned code)
{
    static const unsigned named[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014};
    for (size_t i = 0; i < COUNT(named); i++) {
        if (code == named[i]) {
            return true;
        }
    }
    return code / 1000 == 3 || code / 1000 == 4;
}

static void every_code(void **state)
{
    (void)state;
    for (unsigned code = 0; code < CODES; code++) {
        uint8_t payload[4] = {(uint8_t)(code >> 8), (uint8_t)code, 'o', 'k'};
        unsigned answer = sendable(code) ? code : 1002;
        assert_int_equal(ws_close_code_may_be_sent(code), sendable(code));
        assert_int_equal(ws_close_answer(payload, 2), answer);
        assert_int_equal(ws_close_answer(payload, 4), answer);
    }
    static const uint64_t never[] = {1004, 1005, 1006, 1015, 2999, 5000, 65535, 65536 + 1000, UINT64_MAX};
    for (size_t i = 0; i < COUNT(never); i++) {
        assert_false(ws_close_code_may_be_sent(never[i]));
    }
}

static void payloads(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        uint16_t answer;
    } cases[] = {
        {"", 0, 1000},
        {"\x03", 1, 1002},
        {"\x03\xE8", 2, 1000},
        {"\x03\xE9", 2, 1001},
        {"\x0F\xA0 bye", 6, 4000},
        {"\x03\xE8\xC3\xA9", 4, 1000},
        {"\x03\xE8\xC3", 3, 1007},             /* ends inside a character */
        {"\x03\xE8 \xFF", 4, 1007},            /* no such byte */
        {"\x03\xE8\xC0\x80", 4, 1007},         /* overlong */
        {"\x03\xE8\xED\xA0\x80", 5, 1007},     /* a surrogate */
        {"\x03\xE8\xF4\x90\x80\x80", 6, 1007}, /* above U+10FFFF */
        {"\x03\xED \xFF", 4, 1002},            /* 1005: the code is what is wrong first */
        {"\xFF\xFF", 2, 1002},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(ws_close_answer((const uint8_t *)cases[i].payload, cases[i].len), cases[i].answer);
    }
}

static void a_reason_is_cut_between_characters(void **state)
{
    (void)state;
    /* `before` letters, then a character of 1 to 4 bytes that may stand across the edge, then more. */
    static const char *const characters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < COUNT(characters); i++) {
        size_t width = strlen(characters[i]);
        for (size_t before = WS_CLOSE_REASON_MAX - 5; before <= WS_CLOSE_REASON_MAX + 1; before++) {
            char reason[WS_CLOSE_REASON_MAX + 16];
            uint8_t out[2 + WS_CLOSE_REASON_MAX + 1];
            memset(out, 0xEE, sizeof out);
            memset(reason, 'x', sizeof reason);
            memcpy(reason + before, characters[i], width);
            size_t kept = before + width <= WS_CLOSE_REASON_MAX ? WS_CLOSE_REASON_MAX
                          : before < WS_CLOSE_REASON_MAX        ? before
                                                                : WS_CLOSE_REASON_MAX;
            size_t len = ws_close_write(1014, (struct slice){reason, sizeof reason}, out);
            assert_int_equal(len, 2 + kept);
            assert_memory_equal(out + 2, reason, kept);
            assert_int_equal(out[sizeof out - 1], 0xEE);
            assert_int_equal(ws_close_answer(out, len), 1014);
        }
    }
}

static void short_reasons_stay_whole(void **state)
{
    (void)state;
    uint8_t out[2 + WS_CLOSE_REASON_MAX];
    char reason[WS_CLOSE_REASON_MAX];
    memset(reason, 'r', sizeof reason);
    assert_int_equal(ws_close_write(1000, SLICE(""), out), 2);
    assert_memory_equal(out, "\x03\xE8", 2);
    assert_int_equal(ws_close_write(4999, (struct slice){NULL, 0}, out), 2);
    assert_memory_equal(out, "\x13\x87", 2);
    assert_int_equal(ws_close_write(1001, SLICE("idle \xC3\xA9"), out), 9);
    assert_memory_equal(out, "\x03\xE9idle \xC3\xA9", 9);
    assert_int_equal(ws_close_write(1000, (struct slice){reason, sizeof reason}, out), 2 + sizeof reason);
    assert_memory_equal(out + 2, reason, sizeof reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code),
        cmocka_unit_test(payloads),
        cmocka_unit_test(a_reason_is_cut_between_characters),
        cmocka_unit_test(short_reasons_stay_whole),
    };
    return cmocka_run_group_tests_name("ws_close", tests, NULL, NULL);
}
