/* What sessions asked for is shared by those that asked for the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/asked.h"

static struct asked_words page(const char *path)
{
    return (struct asked_words){
        .authority = SLICE("desk.example:8443"),
        .host_len = 12,
        .port = 8443,
        .has_origin = true,
        .path = slice_from(path),
        .origin = SLICE("https://desk.example"),
        .subprotocols = SLICE("binary,base64"),
        .subprotocol = SLICE("binary"),
    };
}

static struct asked *take(struct asked_book *book, struct asked_words words)
{
    struct asked *asked = asked_take(book, &words);
    assert_non_null(asked);
    return asked;
}

static void assert_slice(const char *expected, struct slice got)
{
    assert_true(slice_eq(slice_from(expected), got));
}

static void test_words_come_back(void **state)
{
    (void)state;
    struct asked_book book = {0};
    char path[] = "/vnc";
    struct asked *asked = take(&book, page(path));
    path[0] = '?'; /* it has a copy */
    struct asked_words words = asked_words(asked);
    assert_slice("desk.example:8443", words.authority);
    assert_int_equal(12, words.host_len);
    assert_int_equal(8443, words.port);
    assert_true(words.has_origin);
    assert_slice("/vnc", words.path);
    assert_slice("https://desk.example", words.origin);
    assert_slice("binary,base64", words.subprotocols);
    assert_slice("binary", words.subprotocol);
    asked_give(&book, asked);
    assert_null(book.root);
}

static void test_nothing_at_all(void **state)
{
    (void)state;
    struct asked_book book = {0};
    struct asked *asked = take(&book, (struct asked_words){.authority = {NULL, 0}});
    struct asked_words words = asked_words(asked);
    assert_int_equal(0, words.authority.len + words.path.len + words.origin.len + words.subprotocols.len);
    assert_false(words.has_origin);
    asked_give(&book, asked);
    asked_give(&book, NULL);
    assert_null(book.root);
}

static void test_equals_share(void **state)
{
    (void)state;
    struct asked_book book = {0};
    struct asked *one = take(&book, page("/a"));
    struct asked *other = take(&book, page("/b"));
    struct asked *same = take(&book, page("/a"));
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
    asked_give(&book, one);
    assert_slice("/a", asked_words(same).path);
    asked_give(&book, same);
    assert_ptr_equal(other, take(&book, page("/b")));
    asked_give(&book, other);
    asked_give(&book, other);
    assert_null(book.root);
}

/* Each word tells one from another, also where the bytes one behind the other are the same. */
static void test_each_word_counts(void **state)
{
    (void)state;
    struct asked_words words[9];
    struct asked *asked[9];
    struct asked_book book = {0};
    for (size_t i = 0; i < 9; i++) {
        words[i] = page("/x");
    }
    words[1].authority = SLICE("desk.example:8444");
    words[2].port = 0;
    words[3].has_origin = false;
    words[4].path = SLICE("/xh");
    words[4].origin = SLICE("ttps://desk.example");
    words[5].origin = SLICE("");
    words[6].subprotocols = SLICE("base64,binary");
    words[7].subprotocol = SLICE("");
    words[8].host_len = 5;
    for (size_t i = 0; i < 9; i++) {
        asked[i] = take(&book, words[i]);
        for (size_t k = 0; k < i; k++) {
            assert_ptr_not_equal(asked[k], asked[i]);
        }
    }
    for (size_t i = 0; i < 9; i++) {
        asked_give(&book, asked[i]);
    }
    assert_null(book.root);
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct asked *asked[MANY];
    struct asked_book book = {0};
    char path[32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "/%d", i * 7919 % MANY);
        asked[i] = take(&book, page(path));
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "/%d", i * 7919 % MANY);
        assert_ptr_equal(asked[i], take(&book, page(path)));
        asked_give(&book, asked[i]);
        asked_give(&book, asked[i]);
    }
    assert_null(book.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_come_back),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_equals_share),
        cmocka_unit_test(test_each_word_counts),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests_name("asked", tests, NULL, NULL);
}
