/* rules/faults and rules/cause: diagnostics as they are printed, and the table of causes. */
#include "rules/cause.h"
#include "rules/faults.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(struct faults *f, const char *file)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    faults_print(f, file, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void prints_by_place(void **state)
{
    (void)state;
    struct faults f;
    faults_init(&f);
    faults_error(&f, (struct place){9, 1}, "routes[1].orgin", "unknown key (did you mean \"%s\"?)", "origin");
    faults_error(&f, (struct place){2, 7}, "listen[0]", "second of its line");
    faults_warn(&f, (struct place){2, 7}, "listen[0]", "third");
    faults_error(&f, (struct place){2, 3}, "", "no key");
    faults_error(&f, (struct place){0, 0}, "", "cannot be read");
    faults_warn(&f, (struct place){10, 1}, "", "last");
    assert_int_equal(f.count, 6);
    assert_int_equal(f.error_count, 4);
    char *text = printed(&f, "x.yaml");
    assert_string_equal(text, "x.yaml: cannot be read\n"
                              "x.yaml:2:3: no key\n"
                              "x.yaml:2:7: listen[0]: second of its line\n"
                              "x.yaml:2:7: listen[0]: warning: third\n"
                              "x.yaml:9:1: routes[1].orgin: unknown key (did you mean \"origin\"?)\n"
                              "x.yaml:10:1: warning: last\n");
    free(text);
    faults_fini(&f);
    assert_int_equal(f.count, 0);
}

static void keeps_the_order_of_one_place(void **state)
{
    (void)state;
    struct faults f;
    faults_init(&f);
    for (unsigned i = 0; i < 1000; i++)
        faults_error(&f, (struct place){1, 1}, "", "%03u", i);
    char *text = printed(&f, "f");
    for (unsigned i = 0; i < 1000; i++) {
        char want[16];
        snprintf(want, sizeof(want), "f:1:1: %03u\n", i);
        assert_memory_equal(text + i * strlen(want), want, strlen(want));
    }
    free(text);
    faults_fini(&f);
}

static void one_fault_is_one_line(void **state)
{
    (void)state;
    struct faults f;
    faults_init(&f);
    faults_error(&f, (struct place){1, 1}, "a\nb", "is \"%s\"", "\x1b[2J\r\n\x7f");
    char *text = printed(&f, "");
    assert_string_equal(text, "sluice:1:1: a?b: is \"?[2J???\"\n");
    free(text);
    faults_fini(&f);

    static char value[5000];
    memset(value, 'v', sizeof(value) - 1);
    faults_init(&f);
    faults_error(&f, (struct place){1, 1}, "key", "%s", value);
    faults_error(&f, (struct place){1, 2}, value, "%s", "text");
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(f.items[i].text);
        assert_true(len < 1100);
        assert_string_equal(f.items[i].text + len - 4, "v...");
    }
    faults_fini(&f);
}

static void tells_what_was_lost(void **state)
{
    (void)state;
    struct faults f;
    faults_init(&f);
    f.lost = true;
    char *text = printed(&f, "x.yaml");
    assert_string_equal(text, "x.yaml: there are more faults than memory to tell them\n");
    free(text);
    faults_fini(&f);
}

/* Which codes may go on the wire: RFC 6455 7.4, and 1012-1014 of the registry. */
static bool may_be_sent(unsigned code)
{
    return code == 1000 || code == 1001 || code == 1002 || code == 1003 || (code >= 1007 && code <= 1014);
}

static void causes_are_complete(void **state)
{
    (void)state;
    assert_int_equal(CAUSE_COUNT, CAUSE_INTERNAL + 1);
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        enum cause cause = (enum cause)i, found;
        const char *name = cause_name(cause);
        assert_non_null(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(name));
        assert_true(cause_from_name(slice_from(name), &found));
        assert_int_equal(found, cause);
        assert_true(strlen(cause_phrase(cause)) <= 123);
        assert_non_null(log_level_name(cause_log_level(cause)));
        if (cause == CAUSE_CLIENT_CLOSE || cause == CAUSE_CLIENT_GONE) {
            assert_int_equal(cause_close_code(cause), 0);
            continue;
        }
        assert_true(may_be_sent(cause_close_code(cause)));
        assert_true(cause_http_status(cause) >= 400 && cause_http_status(cause) < 600);
        assert_true(cause_phrase(cause)[0]);
    }
    enum cause cause;
    assert_false(cause_from_name(SLICE("Target_eof"), &cause));
    assert_false(cause_from_name(SLICE(""), &cause));
}

static void causes_have_their_codes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned code;
    } rows[] = {
        {"client_close", 0},
        {"client_gone", 0},
        {"client_timeout", 1011},
        {"bad_frame", 1002},
        {"bad_utf8", 1007},
        {"bad_message_type", 1003},
        {"message_too_big", 1009},
        {"target_eof", 1000},
        {"target_reset", 1014},
        {"target_refused", 1014},
        {"target_unreachable", 1014},
        {"target_timeout", 1014},
        {"target_dns", 1014},
        {"target_tls", 1014},
        {"idle", 1001},
        {"session_limit", 1008},
        {"target_not_text", 1014},
        {"drain", 1012},
        {"overload", 1013},
        {"revoked", 1008},
        {"killed", 1008},
        {"internal", 1011},
    };
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), CAUSE_COUNT);
    for (size_t i = 0; i < CAUSE_COUNT; i++) {
        enum cause cause;
        assert_true(cause_from_name(slice_from(rows[i].name), &cause));
        assert_int_equal(cause_close_code(cause), rows[i].code);
    }
    assert_int_equal(cause_http_status(CAUSE_TARGET_REFUSED), 502);
    assert_int_equal(cause_http_status(CAUSE_TARGET_TIMEOUT), 504);
    assert_int_equal(cause_log_level(CAUSE_INTERNAL), LOG_ERROR);
    assert_int_equal(cause_log_level(CAUSE_TARGET_EOF), LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_by_place),
        cmocka_unit_test(keeps_the_order_of_one_place),
        cmocka_unit_test(one_fault_is_one_line),
        cmocka_unit_test(tells_what_was_lost),
        cmocka_unit_test(causes_are_complete),
        cmocka_unit_test(causes_have_their_codes),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
