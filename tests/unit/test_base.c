/* base/: slice, buf, text, clock, arena, list, words. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/text.h"
#include "base/words.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- slice. */

static void compares(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("abc"), slice_from("abc")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abC")));
    assert_false(slice_eq(SLICE("abc"), SLICE("ab")));
    assert_true(slice_eq((struct slice){NULL, 0}, SLICE("")));
    assert_true(slice_eq_nocase(SLICE("HoSt-1"), SLICE("hOsT-1")));
    assert_false(slice_eq_nocase(SLICE("a["), SLICE("A{"))); /* 0x5b and 0x7b differ by the case bit too */
    assert_false(slice_eq_nocase(SLICE("\xc4"), SLICE("\xe4")));
    assert_true(slice_starts(SLICE("/vnc/x"), SLICE("/vnc/")));
    assert_false(slice_starts(SLICE("/vnc"), SLICE("/vnc/")));
    assert_true(slice_starts(SLICE("x"), SLICE("")));
    assert_true(slice_ends_nocase(SLICE("a.Example"), SLICE(".eXAMPLE")));
    assert_false(slice_ends_nocase(SLICE("example"), SLICE(".example")));
    assert_true(slice_ends_nocase((struct slice){NULL, 0}, SLICE("")));
}

static void trims_and_finds(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_true(slice_eq(slice_trim(SLICE(" \t ")), SLICE("")));
    assert_true(slice_eq(slice_trim(SLICE("a\n")), SLICE("a\n")));
    assert_int_equal(slice_find(SLICE("a:b:c"), ':'), 1);
    assert_int_equal(slice_find(SLICE("abc"), ':'), 3);
    assert_int_equal(slice_find((struct slice){NULL, 0}, ':'), 0);
}

static void cuts_elements(void **state)
{
    (void)state;
    static const struct {
        const char *text, *joined;
    } cases[] = {
        {"", ""},
        {"a", "<a>"},
        {"a, b", "<a><b>"},
        {" a ,\tb\t", "<a><b>"},
        {"a,,b", "<a><><b>"},
        {",a", "<><a>"},
        {"a,", "<a>"},
        {",", "<>"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char array[64];
        struct text joined;
        struct slice rest = slice_from(cases[i].text), element;
        text_init(&joined, array, sizeof(array));
        while (slice_next(&rest, ',', &element))
            text_addf(&joined, "<%.*s>", SLICE_ARG(element));
        assert_string_equal(array, cases[i].joined);
    }
}

static void reads_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(slice_to_u64(SLICE("0"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(slice_to_u64(SLICE("65535"), 65535, &value));
    assert_int_equal(value, 65535);
    assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(slice_to_u64(SLICE("007"), 9, &value));
    assert_int_equal(value, 7);
    const char *const bad[] = {"", "65536", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x1", "1.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(slice_to_u64(slice_from(bad[i]), 65535, &value));
    assert_false(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &value));
    assert_false(slice_to_u64(SLICE("9"), 8, &value));
    assert_int_equal(value, 7); /* untouched by what was refused */
}

/* ---- buf. */

static void buf_grows_by_what_is_needed(void **state)
{
    (void)state;
    static const uint8_t bytes[4096] = {0};
    struct buf b;
    buf_init(&b);
    assert_null(buf_data(&b));
    assert_true(buf_append(&b, bytes, 0));
    assert_null(b.block);
    assert_true(buf_append(&b, bytes, 1000));
    assert_int_equal(buf_cap(&b), 1024);
    assert_true(buf_append(&b, bytes, 24));
    assert_int_equal(buf_cap(&b), 1024);
    assert_true(buf_append(&b, bytes, 1));
    assert_int_equal(buf_cap(&b), 2048);
    assert_true(buf_append(&b, bytes, 4000));
    assert_int_equal(buf_cap(&b), 5056); /* twice would not do */
    assert_int_equal(buf_len(&b), 5025);
    buf_take(&b, 5025);
    assert_null(b.block);
    assert_int_equal(buf_cap(&b), 0);
    buf_fini(&b);
}

static void buf_uses_the_room_of_what_was_taken(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    char full[64];
    memset(full, 'a', sizeof(full));
    assert_true(buf_append(&b, full, sizeof(full)));
    buf_take(&b, 60);
    assert_true(buf_append(&b, full, 60));
    assert_int_equal(buf_cap(&b), 64);
    assert_int_equal(buf_len(&b), 64);
    buf_fini(&b);
}

static void buf_keeps_the_order(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    uint32_t put = 0, got = 0, random = 1;
    for (unsigned turn = 0; turn < 20000; turn++) {
        uint8_t piece[97];
        random = random * 1664525u + 1013904223u;
        size_t n = random >> 16 & 63;
        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)(put++ * 31 >> 3);
        assert_true(buf_append(&b, piece, n));
        random = random * 1664525u + 1013904223u;
        n = random >> 16 & 127;
        if (n > buf_len(&b))
            n = buf_len(&b);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_data(&b)[i], (uint8_t)(got++ * 31 >> 3));
        buf_take(&b, n);
        assert_int_equal(buf_len(&b), put - got);
    }
    buf_fini(&b);
}

static void buf_refuses_what_passes_its_bound(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_true(buf_append(&b, "abc", 3));
    assert_false(buf_append(&b, "x", SIZE_MAX));
    assert_false(buf_append(&b, "x", ((size_t)1 << 31) - 2));
    assert_int_equal(buf_len(&b), 3);
    assert_memory_equal(buf_data(&b), "abc", 3);
    buf_fini(&b);
}

/* ---- text. */

static void text_is_bounded(void **state)
{
    (void)state;
    char array[8];
    struct text t;
    text_init(&t, array, sizeof(array));
    assert_string_equal(array, "");
    text_add(&t, SLICE("abc"));
    text_addf(&t, "%d", 1234);
    assert_false(t.cut);
    assert_string_equal(array, "abc1234");
    text_add(&t, SLICE(""));
    assert_false(t.cut);
    text_add(&t, SLICE("x"));
    assert_true(t.cut);
    assert_true(slice_eq(text_slice(&t), SLICE("abc1234")));

    text_init(&t, array, sizeof(array));
    text_addf(&t, "%s", "12345678");
    assert_true(t.cut);
    assert_string_equal(array, "1234567");
    assert_int_equal(t.len, 7);

    text_init(&t, array, sizeof(array));
    text_add(&t, SLICE("123456789"));
    assert_true(t.cut);
    assert_string_equal(array, "1234567");
}

/* ---- clock. */

static void clock_writes_rfc3339(void **state)
{
    (void)state;
    char out[25];
    clock_rfc3339(0, out, sizeof(out));
    assert_string_equal(out, "1970-01-01T00:00:00.000Z");
    clock_rfc3339(1767323045678, out, sizeof(out));
    assert_string_equal(out, "2026-01-02T03:04:05.678Z");
    clock_rfc3339(1709164800001, out, sizeof(out));
    assert_string_equal(out, "2024-02-29T00:00:00.001Z");
    char small[5];
    clock_rfc3339(0, small, sizeof(small));
    assert_string_equal(small, "1970");
    clock_rfc3339(UINT64_MAX, out, sizeof(out)); /* bounded, whatever it says */
    assert_true(strlen(out) < sizeof(out));
}

static void clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_now_ms();
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ms();
        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_ms() > 1700000000000);
}

/* ---- arena. */

static void arena_gives_zeroed_aligned_pieces(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    for (size_t size = 0; size < 70000; size = size * 3 + 1) {
        unsigned char *piece = arena_alloc(&a, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 0xff, size);
    }
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1));
    assert_null(arena_copy(&a, (struct slice){"", SIZE_MAX}));
    assert_string_equal(arena_copy(&a, (struct slice){"abcdef", 3}), "abc");
    assert_string_equal(arena_copy(&a, (struct slice){NULL, 0}), "");
    arena_fini(&a);
    assert_null(a.blocks);
}

static void arena_fills_its_block_around_a_large_piece(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *first = arena_alloc(&a, 16);
    char *large = arena_alloc(&a, 100000);
    char *second = arena_alloc(&a, 16);
    assert_non_null(large);
    assert_ptr_equal(second, first + 16);
    arena_fini(&a);
}

/* ---- list. */

struct member {
    int value;
    struct list link;
};

static void list_keeps_members(void **state)
{
    (void)state;
    struct list head;
    struct member a = {.value = 1}, b = {.value = 2};
    list_init(&head);
    assert_true(list_empty(&head));
    list_push_back(&head, &a.link);
    list_push_back(&head, &b.link);
    assert_int_equal(CONTAINER_OF(head.next, struct member, link)->value, 1);
    assert_int_equal(CONTAINER_OF(head.prev, struct member, link)->value, 2);
    list_remove(&a.link);
    list_remove(&a.link);
    assert_ptr_equal(head.next, &b.link);
    list_remove(&b.link);
    assert_true(list_empty(&head));
}

/* ---- words. */

static void words_find_what_was_meant(void **state)
{
    (void)state;
    static const char *const words[] = {
        "origin", "host", "path", "subprotocol", "tls", "target", "target_tls", NULL};
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        {"orgin", "origin"},
        {"oirgin", "origin"},
        {"origins", "origin"},
        {"Origin", "origin"},
        {"ORIGIM", "origin"},
        {"hosts", "host"},
        {"hsot", "host"},
        {"sub_protocol", "subprotocol"},
        {"subprotocols", "subprotocol"},
        {"tsl", "tls"},
        {"target-tls", "target_tls"},
        {"targets", "target"},
        {"x", NULL},
        {"", NULL},
        {"port", NULL},
        {"color", NULL},
        {"hxxx", NULL},
        {"a word that is far longer than any of the keys that there are", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = words_nearest(slice_from(cases[i].typed), words);
        if (cases[i].meant)
            assert_string_equal(found ? found : "(nothing)", cases[i].meant);
        else
            assert_null(found);
    }
    static const char *const nothing[] = {NULL};
    assert_null(words_nearest(SLICE("host"), nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(trims_and_finds),
        cmocka_unit_test(cuts_elements),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(buf_grows_by_what_is_needed),
        cmocka_unit_test(buf_uses_the_room_of_what_was_taken),
        cmocka_unit_test(buf_keeps_the_order),
        cmocka_unit_test(buf_refuses_what_passes_its_bound),
        cmocka_unit_test(text_is_bounded),
        cmocka_unit_test(clock_writes_rfc3339),
        cmocka_unit_test(clock_does_not_go_back),
        cmocka_unit_test(arena_gives_zeroed_aligned_pieces),
        cmocka_unit_test(arena_fills_its_block_around_a_large_piece),
        cmocka_unit_test(list_keeps_members),
        cmocka_unit_test(words_find_what_was_meant),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
