/* proto/utf8: Markus Kuhn's stress cases at every split, and agreement with a decoder written from the
 * grammar of RFC 3629 over all sequences of one to three bytes and a sample of those of four. */
#include "proto/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Decodes by value: what RFC 3629 forbids is told from the code point. Sets *pending to the number of bytes
 * of a character at the end that may yet become a good one. */
static bool reference(const uint8_t *bytes, size_t n, size_t *pending)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *pending = 0;
    for (size_t at = 0; at < n;) {
        uint8_t first = bytes[at];
        size_t len = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (len == 0) {
            return false;
        }
        uint32_t lowest = len == 1 ? first : first & (0x7FU >> len);
        uint32_t highest = lowest;
        size_t have = 1;
        for (; have < len && at + have < n; have++) {
            if (bytes[at + have] >> 6 != 2) {
                return false;
            }
            lowest = lowest << 6 | (bytes[at + have] & 63U);
            highest = highest << 6 | (bytes[at + have] & 63U);
        }
        for (size_t i = have; i < len; i++) { /* the code points that it may still become */
            lowest <<= 6;
            highest = highest << 6 | 63U;
        }
        if (highest < least[len] || lowest > 0x10FFFF || (lowest >= 0xD800 && highest <= 0xDFFF)) {
            return false;
        }
        *pending = have < len ? have : 0;
        at += have;
    }
    return true;
}

/* One sequence: the verdict, the same at every split, and what is unfinished. */
static void check(const uint8_t *bytes, size_t n)
{
    size_t pending = 0;
    bool good = reference(bytes, n, &pending);
    for (size_t cut = 0; cut < n; cut++) {
        struct utf8 u = {0};
        bool fed = utf8_feed(&u, bytes, cut) && utf8_feed(&u, bytes + cut, n - cut);
        if (fed != good || (good && utf8_whole(&u) != (pending == 0))) {
            fail_msg("%02x %02x %02x %02x, %zu bytes cut at %zu: fed %d, expected %d", bytes[0],
                n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0, n, cut, fed, good);
        }
    }
    if (good && utf8_unfinished(bytes, n) != pending) {
        fail_msg("%zu bytes from %02x: unfinished", n, bytes[0]);
    }
}

static void all_of_one_and_two_bytes(void **state)
{
    (void)state;
    for (unsigned a = 0; a <= 0xFF; a++) {
        check((const uint8_t[]){(uint8_t)a}, 1);
        for (unsigned b = 0; b <= 0xFF; b++) {
            check((const uint8_t[]){(uint8_t)a, (uint8_t)b}, 2);
        }
    }
}

/* 16.7 million: fed whole alone, since the splits of shorter ones are behind us. */
static void all_of_three_bytes(void **state)
{
    (void)state;
    for (uint32_t word = 0; word <= 0xFFFFFF; word++) {
        const uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
        size_t pending = 0;
        struct utf8 u = {0};
        bool good = reference(bytes, 3, &pending);
        bool fed = utf8_feed(&u, bytes, 3);
        if (fed != good ||
            (good && (utf8_whole(&u) != (pending == 0) || utf8_unfinished(bytes, 3) != pending))) {
            fail_msg("%06x: fed %d, expected %d", word, fed, good);
        }
    }
}

static void a_sample_of_four_bytes(void **state)
{
    (void)state;
    static const uint8_t edges[] = {
        0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBE, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF};
    for (unsigned a = 0xC0; a <= 0xFF; a++) {
        for (unsigned b = 0; b <= 0xFF; b++) {
            for (size_t c = 0; c < COUNT(edges); c++) {
                for (size_t d = 0; d < COUNT(edges); d++) {
                    check((const uint8_t[]){(uint8_t)a, (uint8_t)b, edges[c], edges[d]}, 4);
                }
            }
        }
    }
}

/* The sections are those of Kuhn's UTF-8-test.txt. */
static void stress_cases(void **state)
{
    (void)state;
    static const struct {
        const char *section;
        const char *text;
        bool good;
    } cases[] = {
        {"1", "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5", true},
        {"2.1.2", "\xC2\x80", true},
        {"2.1.3", "\xE0\xA0\x80", true},
        {"2.1.4", "\xF0\x90\x80\x80", true},
        {"2.1.5", "\xF8\x88\x80\x80\x80", false},
        {"2.1.6", "\xFC\x84\x80\x80\x80\x80", false},
        {"2.2.1", "\x7F", true},
        {"2.2.2", "\xDF\xBF", true},
        {"2.2.3", "\xEF\xBF\xBF", true},
        {"2.2.4", "\xF7\xBF\xBF\xBF", false},
        {"2.2.5", "\xFB\xBF\xBF\xBF\xBF", false},
        {"2.2.6", "\xFD\xBF\xBF\xBF\xBF\xBF", false},
        {"2.3.1", "\xED\x9F\xBF", true},
        {"2.3.2", "\xEE\x80\x80", true},
        {"2.3.3", "\xEF\xBF\xBD", true},
        {"2.3.4", "\xF4\x8F\xBF\xBF", true},
        {"2.3.5", "\xF4\x90\x80\x80", false},
        {"3.1.1", "\x80", false},
        {"3.1.2", "\xBF", false},
        {"3.1.8", "\x80\xBF\x80\xBF\x80\xBF\x80", false},
        {"3.2.1", "\xC0 \xC1 \xC2 \xDF ", false},
        {"3.2.2", "\xE0 \xEF ", false},
        {"3.2.3", "\xF0 \xF7 ", false},
        {"3.3.1", "\xC0", false},
        {"3.3.2", "\xE0\x80", false},
        {"3.3.3", "\xF0\x80\x80", false},
        {"3.3.6", "\xDF", false},
        {"3.3.7", "\xEF\xBF", false},
        {"3.3.8", "\xF7\xBF\xBF", false},
        {"3.4", "\xC0\xE0\x80\xF0\x80\x80\xF8\x80\x80\x80", false},
        {"3.5.1", "\xFE", false},
        {"3.5.2", "\xFF", false},
        {"3.5.3", "\xFE\xFE\xFF\xFF", false},
        {"4.1.1", "\xC0\xAF", false},
        {"4.1.2", "\xE0\x80\xAF", false},
        {"4.1.3", "\xF0\x80\x80\xAF", false},
        {"4.2.1", "\xC1\xBF", false},
        {"4.2.2", "\xE0\x9F\xBF", false},
        {"4.2.3", "\xF0\x8F\xBF\xBF", false},
        {"4.3.1", "\xC0\x80", false},
        {"4.3.2", "\xE0\x80\x80", false},
        {"4.3.3", "\xF0\x80\x80\x80", false},
        {"5.1.1", "\xED\xA0\x80", false},
        {"5.1.2", "\xED\xAD\xBF", false},
        {"5.1.3", "\xED\xAE\x80", false},
        {"5.1.4", "\xED\xAF\xBF", false},
        {"5.1.5", "\xED\xB0\x80", false},
        {"5.1.7", "\xED\xBF\xBF", false},
        {"5.2.1", "\xED\xA0\x80\xED\xB0\x80", false},
        {"5.2.8", "\xED\xAF\xBF\xED\xBF\xBF", false},
        {"5.3.1", "\xEF\xBF\xBE", true},
        {"5.3.3", "\xEF\xB7\x90", true},
        {"5.3.4", "\xF0\x9F\xBF\xBE", true},
    };
    /* Each alone, and between ASCII of such lengths that it stands at every place of the eight-byte step. */
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t before = 0; before <= 17; before++) {
            uint8_t text[64];
            size_t n = before + strlen(cases[i].text);
            memset(text, 'a', sizeof text);
            memcpy(text + before, cases[i].text, n - before);
            for (size_t behind = 0; behind <= 9; behind += 9) {
                for (size_t cut = 0; cut <= n + behind; cut++) {
                    struct utf8 u = {0};
                    bool good = utf8_feed(&u, text, cut) && utf8_feed(&u, text + cut, n + behind - cut) &&
                                utf8_whole(&u);
                    if (good != cases[i].good) {
                        fail_msg("%s behind %zu letters, cut at %zu", cases[i].section, before, cut);
                    }
                }
            }
        }
    }
}

static void nothing_is_a_whole_text(void **state)
{
    (void)state;
    struct utf8 u = {0};
    assert_true(utf8_feed(&u, NULL, 0));
    assert_true(utf8_whole(&u));
    assert_int_equal(utf8_unfinished(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_a_whole_text),
        cmocka_unit_test(stress_cases),
        cmocka_unit_test(all_of_one_and_two_bytes),
        cmocka_unit_test(all_of_three_bytes),
        cmocka_unit_test(a_sample_of_four_bytes),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
