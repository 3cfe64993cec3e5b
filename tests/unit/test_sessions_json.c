/* serve/sessions_json: what workers list, checked and put together. */
#include "serve/sessions_json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In memory of just its size: a sanitizer sees a step too far. */
static bool good(const char *line, size_t len)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, line, len);
    bool answer = sessions_json_good((struct slice){copy + 1, len});
    free(copy);
    return answer;
}

static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool good;
    } cases[] = {
        {"{\"id\":\"00\"}", true},
        {"{\"a\":1,\"b\":-2,\"c\":0,\"d\":1.5,\"e\":true,\"f\":false,\"g\":null,\"h\":\"\"}", true},
        {" { \"a\" : 1 , \"b\" : \"x\" } ", true},
        {"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}", true},
        {"{\"a\":\"\xC3\xA9\"}", true},
        {"", false},
        {"{}", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1", false},
        {"{\"a\":1}}", false},
        {"{\"a\":1},{\"b\":2}", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"{\"a\":01}", false},
        {"{\"a\":1.}", false},
        {"{\"a\":-}", false},
        {"{\"a\":+1}", false},
        {"{\"a\":nul}", false},
        {"{\"a\":truex}", false},
        {"{\"a\":\"x}", false},
        {"{\"a\":\"\\x\"}", false},
        {"{\"a\":\"\\u12g4\"}", false},
        {"{\"a\":\"\\u12\"}", false},
        {"{\"a\":\"\t\"}", false},
        {"{\"a\":\"\xFF\"}", false},
        {"{\"a\":\"\xC3\"}", false},
        {"{\"a\":[1]}", false},
        {"{\"a\":{\"b\":1}}", false},
        {"[1]", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (good(cases[i].line, strlen(cases[i].line)) != cases[i].good) {
            fail_msg("%s", cases[i].line);
        }
    }
}

static void no_beginning_of_a_line_is_one(void **state)
{
    (void)state;
    static const char whole[] = "{\"id\":\"\\u00e9\\n\xC3\xA9\",\"n\":-10.25,\"t\":true}";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        assert_false(good(whole, len));
    }
    assert_true(good(whole, sizeof whole - 1));
}

struct written {
    char *text;
    size_t len;
};

static FILE *begin(struct written *w)
{
    *w = (struct written){0};
    FILE *out = open_memstream(&w->text, &w->len);
    assert_non_null(out);
    return out;
}

static void a_list_over_workers(void **state)
{
    (void)state;
    struct written w;
    FILE *out = begin(&w);
    bool first = true;
    sessions_json_list(SLICE(""), &first, out);
    assert_true(first);
    sessions_json_list(SLICE("{\"id\":\"1\"}\n{\"id\":\"2\"}\n"), &first, out);
    sessions_json_list(SLICE("]\n{\"id\":\"3\"}\n{\"id\":"), &first, out);
    assert_false(first);
    assert_int_equal(0, fclose(out));
    assert_string_equal("{\"id\":\"1\"},\n{\"id\":\"2\"},\n{\"id\":\"3\"}", w.text);
    free(w.text);
}

static void a_table(void **state)
{
    (void)state;
    struct written w;
    FILE *out = begin(&w);
    sessions_json_table_head(out);
    sessions_json_table(
        SLICE("{\"worker\":7,\"id\":\"00ff\",\"route\":\"a b\",\"origin\":\"\xC3\xA9\\t\"}\nbad\n"), out);
    assert_int_equal(0, fclose(out));
    assert_string_equal(
        "id\tclient\troute\ttarget\tstate\tage_ms\tup_bytes\tdown_bytes\tup_kept\tdown_kept\t"
        "up_stalled_ms\tdown_stalled_ms\tping_ms\tclient_rtt_us\ttarget_rtt_us\tworker\thost\tpath\t"
        "origin\n"
        "00ff\t-\ta b\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t7\t-\t-\t??\\t\n",
        w.text);
    free(w.text);
}

static void silent_is(const char *pids, struct slice answer)
{
    struct slice got = sessions_json_silent(answer);
    if (!slice_eq(got, slice_from(pids))) {
        fail_msg("%.*s: %.*s", SLICE_ARG(answer), SLICE_ARG(got));
    }
}

static void who_was_silent(void **state)
{
    (void)state;
    silent_is("", SLICE(""));
    silent_is("", SLICE("]}\n"));
    silent_is("", SLICE("{\"sessions\":[]}\n"));
    silent_is("", SLICE("{\"sessions\":[12]}\n"));
    silent_is("", SLICE("{\"sessions\":[],\"silent_workers\":[]}\n"));
    silent_is("12", SLICE("{\"sessions\":[],\"silent_workers\":[12]}\n"));
    silent_is("12,-1,7", SLICE("{\"sessions\":[],\"silent_workers\":[12,-1,7]}\n"));
    silent_is(
        "", SLICE("{\"sessions\":[{\"path\":\"\\\"silent_workers\\\":[7]}\"}],\"silent_workers\":[]}\n"));
    silent_is("", SLICE("{\"sessions\":[],\"silent_workers\":[12"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(no_beginning_of_a_line_is_one),
        cmocka_unit_test(a_list_over_workers),
        cmocka_unit_test(a_table),
        cmocka_unit_test(who_was_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
