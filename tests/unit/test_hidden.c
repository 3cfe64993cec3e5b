/* Which routes are said to be hidden, and that none is said to be that a request can still reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "rules/judge.h"
#include "rules/load.h"

#include <stdlib.h>
#include <string.h>

static struct rules *load(struct slice text)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_text(text.p, text.len, "f", &faults);
    faults_print(&faults, "f", stderr);
    assert_non_null(rules);
    faults_fini(&faults);
    return rules;
}

/* Whether the last of some routes, each written as the inside of a mapping, is said to be hidden, and no
 * other. */
static bool last_is_hidden(const char *const *routes, unsigned count)
{
    char array[1024];
    struct text t;
    struct faults faults;
    text_init(&t, array, sizeof array);
    text_addf(&t, "listen: {address: ':1'}\nroutes:\n");
    for (unsigned i = 0; i < count; i++) {
        text_addf(&t, "  - {%s}\n", routes[i]);
    }
    assert_false(t.cut);
    struct rules *rules = load(text_slice(&t));
    faults_init(&faults);
    rules_warn_hidden(rules, &faults);
    assert_int_equal(faults.error_count, 0);
    assert_true(faults.count <= 1);
    bool hidden = faults.count == 1;
    if (hidden) {
        assert_true(faults.items[0].warning);
        assert_int_equal(faults.items[0].at.line, count + 2);
        assert_int_equal(faults.items[0].at.column, 5);
    }
    faults_fini(&faults);
    rules_free(rules);
    return hidden;
}

static bool second_is_hidden(const char *first, const char *second)
{
    return last_is_hidden((const char *const[]){first, second}, 2);
}

#define T "target: 'unix:/t', "
#define F "files: /f, "

static void a_route_is_hidden_where_one_before_it_takes_all(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool hidden;
    } rows[] = {
        {T, T, true},
        {F, F, true},
        {T, F, true},
        {F, T, false}, /* upgrades go on to it */
        {T "host: a", T, false},
        {T, T "host: a", true},
        {T "host: a", T "host: A", true},
        {T "host: a", T "host: [a, b]", false},
        {T "host: [b, a]", T "host: [a, b]", true},
        {T "host: '*.a'", T "host: a", false},
        {T "host: '*.a'", T "host: b.a", true},
        {T "host: '*.a'", T "host: c.b.a", true},
        {T "host: '*.a'", T "host: ba", false},
        {T "host: '*.a'", T "host: '*.a'", true},
        {T "host: '*.a'", T "host: '*.b.a'", true},
        {T "host: '*.b.a'", T "host: '*.a'", false},
        {T "host: b.a", T "host: '*.a'", false},
        {T "host: ['*.a', a]", T "host: [a, '*.a']", true},
        {T "path: /a", T, false},
        {T, T "path: /a", true},
        {T "path: /a", T "path: /a", true},
        {T "path: /a", T "path: /A", false},
        {T "path: /a", T "path: /a/", false},
        {T "path: /a", T "path: /a/*", false},
        {T "path: /a/*", T "path: /a", false},
        {T "path: /a/*", T "path: /a/", true},
        {T "path: /a/*", T "path: /a/b", true},
        {T "path: /a/*", T "path: /a/b/*", true},
        {T "path: /a/b/*", T "path: /a/*", false},
        {T "path: /*", T "path: [/a, /b/*]", true},
        {T "path: /*", T, true},
        {T "from: 10.0.0.0/8", T, false},
        {T, T "from: 10.0.0.0/8", true},
        {T "from: 10.0.0.0/8", T "from: 10.1.0.0/16", true},
        {T "from: 10.1.0.0/16", T "from: 10.0.0.0/8", false},
        {T "from: ['0.0.0.0/0', '::/0']", T, false}, /* a unix socket's clients have no address */
        {T "from: ['0.0.0.0/0', '::/0']", T "from: ['fd00::/8', 10.0.0.1]", true},
        {T, T "origin: any", false},
        {T "origin: any", T, true},
        {T "origin: any", T "origin: [none, same, any, 'https://a']", true},
        {T "origin: none", T "origin: none", true},
        {T "origin: none", T "origin: same", false},
        {T "origin: same", T "origin: none", false},
        {T "origin: same", T "origin: 'https://a'", false},
        {T "origin: same, host: a", T "origin: 'https://a', host: a", false},
        {T "origin: 'https://a'", T "origin: same", false},
        {T "origin: 'https://a'", T "origin: 'https://a:443'", true},
        {T "origin: 'https://a'", T "origin: 'http://a:443'", false},
        {T "origin: 'https://a'", T "origin: 'https://a:444'", false},
        {T "origin: 'https://*.a'", T "origin: 'https://b.a'", true},
        {T "origin: 'https://*.a'", T "origin: 'https://a'", false},
        {T "origin: 'https://*.a'", T "origin: 'https://*.b.a'", true},
        {T, T "subprotocol: any", true},
        {T, T "subprotocol: none", true},
        {T, T "subprotocol: x", true},
        {T "subprotocol: any", T, false},
        {T "subprotocol: any", T "subprotocol: none", false},
        {T "subprotocol: none", T "subprotocol: any", false},
        {T "subprotocol: none", T "subprotocol: none", true},
        {T "subprotocol: x", T "subprotocol: x", true},
        {T "subprotocol: x", T "subprotocol: X", false},
        {T "subprotocol: x", T "subprotocol: [x, y]", false},
        {T "subprotocol: [y, x]", T "subprotocol: [x, y]", true},
        {T "subprotocol: any", T "subprotocol: [x, y]", true},
        {T "subprotocol: none, origin: none", F, true}, /* answers its plain GETs with 426 */
        {F, T "subprotocol: x, origin: any", false},
        {F "path: /a/*", T "path: /a", false},
        {T "path: /a", F "path: /*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (second_is_hidden(rows[i].first, rows[i].second) != rows[i].hidden)
            fail_msg(
                "{%s} then {%s}: not %s", rows[i].first, rows[i].second, rows[i].hidden ? "hidden" : "free");
}

static void several_hide_one_together(void **state)
{
    (void)state;
    static const struct {
        const char *routes[3];
        bool hidden;
    } rows[] = {
        {{T "host: a", T "host: b", T "host: [a, b]"}, true},
        {{T "host: a", T "host: b", T "host: [a, b, c]"}, false},
        {{T "host: a", T "host: b", T}, false},
        {{T "path: /a/*", T "path: /a", T "path: [/a, /a/*]"}, true},
        {{T "from: 10.0.0.0/8", T "from: 'fd00::/8'", T "from: [10.1.0.0/16, 'fd00::1']"}, true},
        {{T "origin: same", T "origin: none", T}, true},
        {{T "origin: same", T "origin: none", T "origin: any"}, false},
        {{T "subprotocol: any", T "subprotocol: none", T}, true},
        {{T "host: [a, b], path: /x", T "host: a, path: /y", T "host: a, path: [/x, /y]"}, true},
        {{T "host: [a, b], path: /x", T "host: a, path: /y", T "host: [a, b], path: [/x, /y]"}, false},
        {{T "host: a", F "host: b", F "host: [a, b]"}, true},
        {{T "host: a", F "host: b", T "host: [a, b]"}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (last_is_hidden(rows[i].routes, 3) != rows[i].hidden) {
            fail_msg("row %zu: not %s", i, rows[i].hidden ? "hidden" : "free");
        }
    }
}

/* More ways to ask for a route than are tried: nothing is said of it. */
static void a_route_of_too_many_parts_is_free(void **state)
{
    (void)state;
    char *array = malloc(1 << 17);
    struct text t;
    struct faults faults;
    assert_non_null(array);
    text_init(&t, array, 1 << 17);
    text_addf(
        &t, "listen: {address: ':1'}\nroutes:\n  - {" T "host: a}\n  - {" T "host: b}\n  - {" T "host: [a");
    for (unsigned i = 0; i < 5000; i++) {
        text_addf(&t, ", b");
    }
    text_addf(&t, "]}\n");
    assert_false(t.cut);
    struct rules *rules = load(text_slice(&t));
    faults_init(&faults);
    rules_warn_hidden(rules, &faults);
    assert_int_equal(faults.count, 0);
    faults_fini(&faults);
    rules_free(rules);
    free(array);
}

static void the_warning_names_the_first_that_hides(void **state)
{
    (void)state;
    struct rules *rules = load(SLICE("listen: {address: ':1'}\n"
                                     "routes:\n"
                                     "  - {target: unix:/a, path: /b}\n"
                                     "  - {target: unix:/a, path: /a}\n"
                                     "  - {target: unix:/a, path: /a}\n"
                                     "  - {files: /f, path: /a}\n"
                                     "  - {target: unix:/a, path: /c}\n"
                                     "  - {target: unix:/a, path: /a}\n"
                                     "  - {target: unix:/a, path: [/c, /b]}\n"));
    char *told = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&told, &len);
    struct faults faults;
    assert_non_null(out);
    faults_init(&faults);
    rules_warn_hidden(rules, &faults);
    faults_print(&faults, "f", out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(told, "f:5:5: routes[2]: warning: never matches, since routes[1] at line 4 takes all "
                              "that it would: put this one "
                              "before it\n"
                              "f:6:5: routes[3]: warning: serves no file, since routes[1] at line 4 takes "
                              "every GET here and answers 426: "
                              "put this one before it\n"
                              "f:8:5: routes[5]: warning: never matches, since routes[1] at line 4 takes all "
                              "that it would: put this one "
                              "before it\n"
                              "f:9:5: routes[6]: warning: never matches, since those before it together take "
                              "all that it would: put this one before them\n");
    free(told);
    faults_fini(&faults);
    rules_free(rules);
}

/* ---- Pairs of routes of every kind against requests of every kind */

static const char *const hosts[] = {
    "", "host: a, ", "host: '*.a', ", "host: '*.b.a', ", "host: [a, c.b.a], "};
static const char *const paths[] = {"", "path: /, ", "path: /*, ", "path: /a/*, ", "path: [/a, /a/b], "};
static const char *const froms[] = {
    "", "from: 10.0.0.0/8, ", "from: 10.1.0.0/16, ", "from: ['::/0', 0.0.0.0/0], "};
static const char *const origins[] = {"", "origin: any, ", "origin: none, ", "origin: same, ",
    "origin: ['https://a', 'https://*.a'], ", "origin: 'https://b.a', "};
static const char *const subprotocols[] = {
    "", "subprotocol: any, ", "subprotocol: none, ", "subprotocol: [x, none], ", "subprotocol: [y, x], "};

static const char *const request_hosts[] = {"a", "b.a", "c.b.a", "B.A.", "z"};
static const char *const request_paths[] = {"/", "/a", "/a/", "/a/b", "/z"};
static const char *const request_origins[] = {NULL, "https://a", "https://b.a", "http://c.b.a", "null"};
static const char *const request_subprotocols[] = {"", "x", "y, binary", "z"};

static unsigned next_random(unsigned *seed, size_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % (unsigned)below;
}

#define COUNT(array)      (sizeof(array) / sizeof *(array))
#define PICK(seed, array) (array)[next_random((seed), COUNT(array))]

static void add_route(struct text *t, unsigned *seed)
{
    bool files = next_random(seed, 4) == 0;
    text_addf(t, "  - {%s%s%s%s", PICK(seed, hosts), PICK(seed, paths), PICK(seed, froms), files ? F : T);
    if (!files)
        text_addf(t, "%s%s", PICK(seed, origins), PICK(seed, subprotocols));
    text_addf(t, "}\n");
}

/* The request of that number; false when there are no more. */
static bool request_of(size_t n, const struct ip_addr addrs[2], struct judge_request *out)
{
    *out = (struct judge_request){.port = 443, .tls = true};
    out->upgrade = n % 2 == 0;
    n /= 2;
    out->host = slice_from(request_hosts[n % COUNT(request_hosts)]);
    n /= COUNT(request_hosts);
    out->path = slice_from(request_paths[n % COUNT(request_paths)]);
    n /= COUNT(request_paths);
    out->from = n % 3 < 2 ? &addrs[n % 3] : NULL;
    n /= 3;
    const char *origin = request_origins[n % COUNT(request_origins)];
    out->has_origin = origin != NULL;
    out->origin = origin ? slice_from(origin) : SLICE("");
    n /= COUNT(request_origins);
    out->subprotocols = slice_from(request_subprotocols[n % COUNT(request_subprotocols)]);
    return n < COUNT(request_subprotocols);
}

/* That route is said to be hidden: no request may reach it. */
static void assert_out_of_reach(const struct rules *rules, size_t index, const char *text)
{
    struct ip_addr addrs[2];
    struct judge_request request;
    assert_true(ip_parse(SLICE("10.1.2.3"), &addrs[0]) && ip_parse(SLICE("fd00::1"), &addrs[1]));
    for (size_t n = 0; request_of(n, addrs, &request); n++) {
        struct judgement judgement = judge(rules, &request);
        if (judgement.route == &rules->routes[index])
            fail_msg("reached by request %zu:\n%s", n, text);
    }
}

static void what_is_said_to_be_hidden_is_out_of_reach(void **state)
{
    (void)state;
    unsigned seed = 1, hidden = 0;
    for (size_t i = 0; i < 4000; i++) {
        char array[1024];
        struct text t;
        struct faults faults;
        text_init(&t, array, sizeof array);
        text_addf(&t, "listen: {address: ':1'}\nroutes:\n");
        add_route(&t, &seed);
        add_route(&t, &seed);
        add_route(&t, &seed);
        assert_false(t.cut);
        struct rules *rules = load(text_slice(&t));
        faults_init(&faults);
        rules_warn_hidden(rules, &faults);
        for (size_t k = 0; k < faults.count; k++) {
            hidden++;
            assert_out_of_reach(rules, faults.items[k].at.line - 3, array);
        }
        faults_fini(&faults);
        rules_free(rules);
    }
    assert_true(hidden > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_hidden_where_one_before_it_takes_all),
        cmocka_unit_test(several_hide_one_together),
        cmocka_unit_test(a_route_of_too_many_parts_is_free),
        cmocka_unit_test(the_warning_names_the_first_that_hides),
        cmocka_unit_test(what_is_said_to_be_hidden_is_out_of_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
