/* serve/memory_file: what is written is there, whole. (tests/faults has memory end amid it.) */
#include "serve/memory_file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void all_is_there(void **state)
{
    (void)state;
    struct memory_file file = {0};
    FILE *out = memory_file_open(&file);
    assert_non_null(out);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(fprintf(out, "%05d\n", i), 6);
    }
    assert_true(memory_file_close(out));
    assert_int_equal(file.len, 6 * 20000);
    assert_memory_equal(file.bytes, "00000\n00001\n", 12);
    assert_memory_equal(file.bytes + 6 * 19999, "19999\n", 6);
    free(file.bytes);
}

static void much_at_once(void **state)
{
    (void)state;
    enum { MUCH = 1 << 20 };
    struct memory_file file = {0};
    char *much = malloc(MUCH);
    assert_non_null(much);
    memset(much, 'x', MUCH);
    FILE *out = memory_file_open(&file);
    assert_non_null(out);
    assert_int_equal(fwrite(much, 1, MUCH, out), MUCH);
    assert_true(memory_file_close(out));
    assert_int_equal(file.len, MUCH);
    assert_memory_equal(file.bytes, much, MUCH);
    free(file.bytes);
    free(much);
}

static void nothing_is_no_bytes(void **state)
{
    (void)state;
    struct memory_file file = {0};
    FILE *out = memory_file_open(&file);
    assert_non_null(out);
    assert_true(memory_file_close(out));
    assert_null(file.bytes);
    assert_int_equal(file.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_there),
        cmocka_unit_test(much_at_once),
        cmocka_unit_test(nothing_is_no_bytes),
    };
    return cmocka_run_group_tests_name("memory_file", tests, NULL, NULL);
}
