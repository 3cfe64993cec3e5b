/* proto/ws_frame: headers in both directions at the edges of every length form, and the mask against one that
 * goes byte by byte. */
#include "proto/ws_frame.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t some_mask[4] = {0x37, 0xFA, 0x21, 0x3D};

/* A header with the length in the form of 0, 2 or 8 bytes behind the second one, whether it fits there or
 * not. */
static size_t header(uint8_t *to, uint8_t first, bool masked, size_t width, uint64_t len)
{
    size_t n = 2;
    to[0] = first;
    to[1] = (uint8_t)((masked ? 0x80 : 0) | (width == 0 ? len : width == 2 ? 126 : 127));
    for (size_t i = 0; i < width; i++) {
        to[n++] = (uint8_t)(len >> 8 * (width - 1 - i));
    }
    if (masked) {
        memcpy(to + n, some_mask, 4);
        n += 4;
    }
    return n;
}

/* Reads from memory of exactly that size, so that a sanitizer sees a step too far. */
static enum ws_frame_status read_exactly(
    const uint8_t *bytes, size_t have, struct ws_frame *frame, size_t *used)
{
    uint8_t *exact = malloc(have > 0 ? have : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, have);
    enum ws_frame_status status = ws_frame_read(exact, have, frame, used);
    free(exact);
    return status;
}

static void every_length_form_at_its_edges(void **state)
{
    (void)state;
    static const struct {
        size_t width;
        uint64_t len;
        enum ws_frame_status status;
    } cases[] = {
        {0, 0, WS_FRAME_OK},
        {0, 1, WS_FRAME_OK},
        {0, 125, WS_FRAME_OK},
        {2, 0, WS_FRAME_BAD_LEN},
        {2, 125, WS_FRAME_BAD_LEN},
        {2, 126, WS_FRAME_OK},
        {2, 127, WS_FRAME_OK},
        {2, 0xFFFF, WS_FRAME_OK},
        {8, 0, WS_FRAME_BAD_LEN},
        {8, 125, WS_FRAME_BAD_LEN},
        {8, 126, WS_FRAME_BAD_LEN},
        {8, 0xFFFF, WS_FRAME_BAD_LEN},
        {8, 0x10000, WS_FRAME_OK},
        {8, UINT64_C(0x0102030405060708), WS_FRAME_OK},
        {8, UINT64_C(0x7FFFFFFFFFFFFFFF), WS_FRAME_OK},
        {8, UINT64_C(0x8000000000000000), WS_FRAME_BAD_LEN},
        {8, UINT64_MAX, WS_FRAME_BAD_LEN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int masked = 0; masked <= 1; masked++) {
            uint8_t bytes[WS_HEADER_MAX + 3] = {0};
            struct ws_frame frame;
            size_t used = 0;
            size_t n = header(bytes, 0x82, masked != 0, cases[i].width, cases[i].len);
            assert_int_equal(read_exactly(bytes, n, &frame, &used), cases[i].status);
            if (cases[i].status == WS_FRAME_OK) {
                assert_int_equal(used, n);
                assert_true(frame.len == cases[i].len);
                assert_int_equal(frame.masked, masked);
                assert_true(masked == 0 || memcmp(frame.mask, some_mask, 4) == 0);
                used = 0; /* and what follows is not its business */
                assert_int_equal(read_exactly(bytes, n + 3, &frame, &used), WS_FRAME_OK);
                assert_int_equal(used, n);
            }
            size_t told = cases[i].status == WS_FRAME_OK ? n : 2 + cases[i].width;
            for (size_t have = 0; have < told; have++) {
                assert_int_equal(read_exactly(bytes, have, &frame, &used), WS_FRAME_MORE);
            }
            assert_int_equal(read_exactly(bytes, told, &frame, &used), cases[i].status);
        }
    }
}

static void every_first_byte(void **state)
{
    (void)state;
    for (unsigned first = 0; first <= 0xFF; first++) {
        uint8_t bytes[2] = {(uint8_t)first, 5};
        struct ws_frame frame;
        size_t used = 0;
        assert_int_equal(ws_frame_read(bytes, 2, &frame, &used), WS_FRAME_OK);
        assert_int_equal(frame.fin, first >> 7);
        assert_int_equal(frame.rsv, first >> 4 & 7);
        assert_int_equal(frame.opcode, first & 15);
        assert_false(frame.masked);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const enum ws_opcode opcodes[] = {WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING, WS_PONG};
    static const struct {
        uint64_t len;
        size_t header;
    } cases[] = {
        {0, 2},
        {1, 2},
        {125, 2},
        {126, 4},
        {127, 4},
        {0xFFFF, 4},
        {0x10000, 10},
        {UINT64_C(0x123456789ABCDEF0), 10},
        {UINT64_C(0x7FFFFFFFFFFFFFFF), 10},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(opcodes); j++) {
            uint8_t room[WS_SERVER_HEADER_MAX + 4];
            uint8_t *payload = room + WS_SERVER_HEADER_MAX;
            struct ws_frame frame;
            size_t used = 0;
            memset(room, 0xEE, sizeof room);
            size_t n = ws_frame_write_before(payload, opcodes[j], cases[i].len);
            assert_int_equal(n, cases[i].header);
            assert_int_equal(ws_frame_read(payload - n, n, &frame, &used), WS_FRAME_OK);
            assert_int_equal(used, n);
            assert_true(frame.fin);
            assert_int_equal(frame.rsv, 0);
            assert_int_equal(frame.opcode, opcodes[j]);
            assert_false(frame.masked);
            assert_true(frame.len == cases[i].len);
            for (uint8_t *at = room; at < room + sizeof room; at++) {
                assert_true((at >= payload - n && at < payload) || *at == 0xEE);
            }
        }
    }
}

/* ---- The mask. */

enum { LONGEST = 300, ALIGNMENTS = 16 };

static void fill(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(i * 167 + (i >> 8) * 13 + 5);
    }
}

/* RFC 6455 5.3, to the letter. */
static void mask_bytewise(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[4], unsigned phase)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i] ^ mask[(phase + i) % 4];
    }
}

/* Masks n bytes at `from` of an arena to `to` of it; all the rest of the arena must stay as it is. */
static void check_mask(size_t to, size_t from, size_t n, unsigned phase)
{
    uint8_t arena[2 * LONGEST + 4 * ALIGNMENTS];
    uint8_t expected[sizeof arena];
    uint8_t unmasked[LONGEST];
    assert_true(to + n <= sizeof arena && from + n <= sizeof arena);
    fill(arena, sizeof arena);
    memcpy(expected, arena, sizeof arena);
    mask_bytewise(unmasked, arena + from, n, some_mask, phase);
    memcpy(expected + to, unmasked, n);
    assert_int_equal(ws_frame_mask(arena + to, arena + from, n, some_mask, phase), (phase + n) % 4);
    if (memcmp(arena, expected, sizeof arena) != 0) {
        fail_msg("wrong bytes: to %zu, from %zu, n %zu, phase %u", to, from, n, phase);
    }
}

static void mask_in_place(void **state)
{
    (void)state;
    for (size_t n = 0; n <= LONGEST; n++) {
        for (size_t at = 0; at < ALIGNMENTS; at++) {
            for (unsigned phase = 0; phase < 4; phase++) {
                check_mask(at, at, n, phase);
            }
        }
    }
}

static void mask_to_a_lower_overlapping_place(void **state)
{
    (void)state;
    static const size_t lengths[] = {
        0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 200, 300};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (size_t back = 1; back <= 80; back++) {
            check_mask(back % ALIGNMENTS, back % ALIGNMENTS + back, lengths[i], (unsigned)(back % 4));
        }
    }
}

static void mask_to_a_place_apart(void **state)
{
    (void)state;
    for (size_t n = 0; n <= LONGEST; n++) {
        for (unsigned phase = 0; phase < 4; phase++) {
            check_mask(n % ALIGNMENTS, LONGEST + ALIGNMENTS + n % 7, n, phase);
            check_mask(LONGEST + ALIGNMENTS + n % 7, n % ALIGNMENTS, n, phase);
        }
    }
}

static void mask_in_two_pieces_is_the_same(void **state)
{
    (void)state;
    uint8_t whole[LONGEST];
    uint8_t pieces[LONGEST];
    for (size_t cut = 0; cut <= LONGEST; cut++) {
        fill(whole, LONGEST);
        fill(pieces, LONGEST);
        unsigned end = ws_frame_mask(whole, whole, LONGEST, some_mask, 3);
        unsigned phase = ws_frame_mask(pieces, pieces, cut, some_mask, 3);
        assert_int_equal(ws_frame_mask(pieces + cut, pieces + cut, LONGEST - cut, some_mask, phase), end);
        assert_memory_equal(whole, pieces, LONGEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_form_at_its_edges),
        cmocka_unit_test(every_first_byte),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(mask_in_place),
        cmocka_unit_test(mask_to_a_lower_overlapping_place),
        cmocka_unit_test(mask_to_a_place_apart),
        cmocka_unit_test(mask_in_two_pieces_is_the_same),
    };
    return cmocka_run_group_tests_name("ws_frame", tests, NULL, NULL);
}
