#include "net/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_example_of_rfc_6455_1_3(void **state)
{
    (void)state;
    char out[DIGEST_ACCEPT_LEN + 1];
    memset(out, 'x', sizeof out);
    assert_true(digest_accept_key(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), out));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void the_key_counts_to_its_length_alone(void **state)
{
    (void)state;
    char out[DIGEST_ACCEPT_LEN + 1];
    struct slice key = {"dGhlIHNhbXBsZSBub25jZQ==trailing", 24};
    assert_true(digest_accept_key(key, out));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_true(digest_accept_key(SLICE(""), out));
    assert_string_equal(out, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_6455_1_3),
        cmocka_unit_test(the_key_counts_to_its_length_alone),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
