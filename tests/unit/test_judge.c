/* rules/judge: every kind of pattern, every step, and the verdict over several routes. */
#include "rules/judge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct origin_pattern any_origin[] = {{.kind = ORIGIN_ANY}};
static struct subprotocol_pattern default_subprotocols[] = {
    {.kind = SUBPROTOCOL_ANY}, {.kind = SUBPROTOCOL_NONE}};

/* Takes everything; the tests narrow it. */
static struct route open_route(void)
{
    return (struct route){
        .origins = any_origin,
        .origin_count = COUNT(any_origin),
        .subprotocols = default_subprotocols,
        .subprotocol_count = COUNT(default_subprotocols),
    };
}

static struct ip_addr client = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}}; /* 10.0.0.1 */

static struct judge_request upgrade_request(void)
{
    return (struct judge_request){
        .host = SLICE("a.example"),
        .path = SLICE("/vnc"),
        .from = &client,
        .upgrade = true,
    };
}

static enum judge_step step_of(const struct route *route, const struct judge_request *request)
{
    struct slice subprotocol;
    return judge_route(route, request, &subprotocol);
}

/* ---- Host. */

static void hosts(void **state)
{
    (void)state;
    static const struct {
        bool wildcard;
        const char *name, *host;
        bool taken;
    } cases[] = {
        {false, "a.example", "a.example", true},
        {false, "a.example", "A.EXAMPLE", true},
        {false, "a.example", "a.example.", true},
        {false, "a.example", "a.example..", false},
        {false, "a.example", "b.example", false},
        {false, "a.example", "x.a.example", false},
        {false, "a.example", "a.example.x", false},
        {false, "a.example", "", false},
        {false, "10.0.0.1", "10.0.0.1", true},
        {false, "::1", "[::1]", true},
        {false, "[::1]", "[::1]", true},
        {false, "[::1]", "[::2]", false},
        {true, "a.example", "x.a.example", true},
        {true, "a.example", "X.A.Example.", true},
        {true, "a.example", "y.x.a.example", true},
        {true, "a.example", "a.example", false},
        {true, "a.example", ".a.example", false},
        {true, "a.example", "xa.example", false},
        {true, "a.example", "x-a.example", false},
        {true, "a.example", "x.b.example", false},
        {true, "a.example", "example", false},
        {true, "a.example", "", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct host_pattern patterns[] = {
            {.name = SLICE("other.test")}, {cases[i].wildcard, slice_from(cases[i].name)}};
        struct route route = open_route();
        struct judge_request request = upgrade_request();
        route.hosts = patterns;
        route.host_count = COUNT(patterns);
        request.host = slice_from(cases[i].host);
        if (step_of(&route, &request) != (cases[i].taken ? JUDGE_TAKEN : JUDGE_HOST))
            fail_msg("host %s%s: \"%s\"", cases[i].wildcard ? "*." : "", cases[i].name, cases[i].host);
    }
    struct route route = open_route();
    struct judge_request request = upgrade_request();
    request.host = SLICE("whatever");
    assert_int_equal(step_of(&route, &request), JUDGE_TAKEN);
}

/* ---- Path. */

static void paths(void **state)
{
    (void)state;
    static const struct {
        struct path_pattern pattern;
        const char *path;
        bool taken;
    } cases[] = {
        {{.path = {"/vnc", 4}}, "/vnc", true},
        {{.path = {"/vnc", 4}}, "/vnc/", false},
        {{.path = {"/vnc", 4}}, "/vnc2", false},
        {{.path = {"/vnc", 4}}, "/VNC", false},
        {{.path = {"/vnc", 4}}, "/", false},
        {{.prefix = true, .path = {"/vnc/", 5}}, "/vnc/", true},
        {{.prefix = true, .path = {"/vnc/", 5}}, "/vnc/a/b", true},
        {{.prefix = true, .path = {"/vnc/", 5}}, "/vnc", false},
        {{.prefix = true, .path = {"/vnc/", 5}}, "/vncx/", false},
        {{.prefix = true, .path = {"/vnc/", 5}}, "/x/vnc/", false},
        {{.prefix = true, .path = {"/", 1}}, "/", true},
        {{.prefix = true, .path = {"/", 1}}, "/x", true},
        {{.any = true}, "/x", true},
        {{.any = true}, "", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct path_pattern patterns[] = {{.path = SLICE("/other")}, cases[i].pattern};
        struct route route = open_route();
        struct judge_request request = upgrade_request();
        route.paths = patterns;
        route.path_count = COUNT(patterns);
        request.path = slice_from(cases[i].path);
        if (step_of(&route, &request) != (cases[i].taken ? JUDGE_TAKEN : JUDGE_PATH))
            fail_msg("path case %zu: \"%s\"", i, cases[i].path);
    }
}

/* ---- From. */

static void clients(void **state)
{
    (void)state;
    static const struct {
        const char *net, *from; /* NULL: a unix socket's */
        bool taken;
    } cases[] = {
        {"10.0.0.0/8", "10.9.9.9", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
        {"10.0.0.0/8", "::1", false},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "10.0.0.1", false},
        {"10.0.0.0/8", NULL, false},
        {"0.0.0.0/0", NULL, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ip_net nets[2];
        struct ip_addr from;
        struct route route = open_route();
        struct judge_request request = upgrade_request();
        assert_true(ip_net_parse(SLICE("192.0.2.7"), &nets[0], NULL));
        assert_true(ip_net_parse(slice_from(cases[i].net), &nets[1], NULL));
        route.from = nets;
        route.from_count = COUNT(nets);
        request.from = NULL;
        if (cases[i].from) {
            assert_true(ip_parse(slice_from(cases[i].from), &from));
            request.from = &from;
        }
        assert_int_equal(step_of(&route, &request), cases[i].taken ? JUDGE_TAKEN : JUDGE_FROM);
    }
    struct route route = open_route();
    struct judge_request request = upgrade_request();
    request.from = NULL;
    assert_int_equal(step_of(&route, &request), JUDGE_TAKEN);
}

/* ---- Origin. */

struct origin_case {
    const char *origin; /* NULL: no such header */
    const char *host;
    unsigned port;
    bool tls;
    bool taken;
};

static void check_origins(struct origin_pattern pattern, const struct origin_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct route route = open_route();
        struct judge_request request = upgrade_request();
        route.origins = &pattern;
        route.origin_count = 1;
        request.has_origin = cases[i].origin != NULL;
        if (cases[i].origin)
            request.origin = slice_from(cases[i].origin);
        request.host = slice_from(cases[i].host);
        request.port = (uint16_t)cases[i].port;
        request.tls = cases[i].tls;
        if (step_of(&route, &request) != (cases[i].taken ? JUDGE_TAKEN : JUDGE_ORIGIN))
            fail_msg("origin %s, host %s:%u%s: should%s be taken",
                cases[i].origin ? cases[i].origin : "(none)", cases[i].host, cases[i].port,
                cases[i].tls ? " over TLS" : "", cases[i].taken ? "" : " not");
    }
}

static void same_origins(void **state)
{
    (void)state;
    static const struct origin_case cases[] = {
        /* Plain listener. */
        {"http://a.example", "a.example", 0, false, true},
        {"http://a.example", "a.example", 80, false, true},
        {"http://a.example:80", "a.example", 0, false, true},
        {"HTTP://A.Example", "a.example.", 0, false, true},
        {"http://a.example:8080", "a.example", 8080, false, true},
        {"http://a.example", "a.example", 8080, false, false},
        {"http://a.example:8080", "a.example", 0, false, false},
        {"http://a.example:8081", "a.example", 8080, false, false},
        {"http://a.example:443", "a.example", 0, false, false},
        {"http://b.example", "a.example", 0, false, false},
        {"http://x.a.example", "a.example", 0, false, false},
        {"http://[::1]:8080", "[::1]", 8080, false, true},
        {"http://[::2]:8080", "[::1]", 8080, false, false},
        /* TLS ended in front of it: the Host has no port, or the one outside. */
        {"https://a.example", "a.example", 0, false, true},
        {"https://a.example:443", "a.example", 0, false, true},
        {"https://a.example", "a.example", 443, false, true},
        {"https://a.example:8443", "a.example", 8443, false, true},
        {"https://a.example:8443", "a.example", 0, false, false},
        {"https://a.example:80", "a.example", 0, false, false},
        {"https://a.example", "a.example", 80, false, false},
        {"https://a.example", "a.example", 8080, false, false},
        {"https://b.example", "a.example", 0, false, false},
        /* TLS listener. */
        {"https://a.example", "a.example", 0, true, true},
        {"https://a.example", "a.example", 443, true, true},
        {"https://a.example:8443", "a.example", 8443, true, true},
        {"https://a.example", "a.example", 8443, true, false},
        {"https://a.example:80", "a.example", 0, true, false},
        {"http://a.example", "a.example", 0, true, false},
        {"http://a.example:443", "a.example", 443, true, false},
        {"http://a.example", "a.example", 80, true, false},
        /* No origin, or nothing that is one. */
        {NULL, "a.example", 0, false, false},
        {"", "a.example", 0, false, false},
        {"null", "a.example", 0, false, false},
        {"a.example", "a.example", 0, false, false},
        {"ws://a.example", "a.example", 0, false, false},
        {"ftp://a.example", "a.example", 0, false, false},
        {"http:a.example", "a.example", 0, false, false},
        {"http:/a.example", "a.example", 0, false, false},
        {"http://", "", 0, false, false},
        {"http://a.example/", "a.example", 0, false, false},
        {"http://a.example?", "a.example", 0, false, false},
        {"http://a.example#", "a.example", 0, false, false},
        {"http://u@a.example", "a.example", 0, false, false},
        {"http://u:p@a.example", "a.example", 0, false, false},
        {"http://b.example@a.example", "a.example", 0, false, false},
        {"http://a.example:", "a.example", 0, false, false},
        {"http://a.example:0", "a.example", 0, false, false},
        {"http://a.example:x", "a.example", 0, false, false},
        {"http://a.example:65536", "a.example", 0, false, false},
        {"http://a.example:80:80", "a.example", 0, false, false},
        {"http://a.example http://b.example", "a.example", 0, false, false},
        {"http://a.example,http://a.example", "a.example", 0, false, false},
        {"http://[::1", "[::1", 0, false, false},
        {"http://[]", "[]", 0, false, false},
        {"http://[::1]x", "[::1]", 0, false, false},
        {"http://[a.example]", "a.example", 0, false, false},
    };
    check_origins((struct origin_pattern){.kind = ORIGIN_SAME}, cases, COUNT(cases));
}

static void origins_by_url(void **state)
{
    (void)state;
    static const struct origin_case exact[] = {
        {"https://a.example", "gate", 80, false, true},
        {"https://A.EXAMPLE:443", "gate", 80, true, true},
        {"https://a.example.", "gate", 80, false, true},
        {"https://a.example:8443", "gate", 80, false, false},
        {"http://a.example", "gate", 80, false, false},
        {"http://a.example:443", "gate", 80, false, false},
        {"https://x.a.example", "gate", 80, false, false},
        {"https://a.example.evil.test", "gate", 80, false, false},
        {"https://a.example/", "gate", 80, false, false},
        {"https://u@a.example", "gate", 80, false, false},
        {"null", "gate", 80, false, false},
        {"", "gate", 80, false, false},
        {NULL, "gate", 80, false, false},
    };
    static const struct origin_case wildcard[] = {
        {"https://x.a.example", "gate", 80, false, true},
        {"https://y.x.A.example", "gate", 80, false, true},
        {"https://a.example", "gate", 80, false, false},
        {"https://xa.example", "gate", 80, false, false},
        {"https://.a.example", "gate", 80, false, false},
        {"https://x.a.example:8443", "gate", 80, false, false},
        {"https://evil.test/.a.example", "gate", 80, false, false},
        {"https://evil.test#.a.example", "gate", 80, false, false},
        {"https://evil.test:443@x.a.example", "gate", 80, false, false},
    };
    static const struct origin_case with_port[] = {
        {"http://a.example:8080", "gate", 80, false, true},
        {"http://a.example:8080", "gate", 443, true, true}, /* only `same` asks for the listener's scheme */
        {"http://a.example", "gate", 80, false, false},
    };
    struct origin_pattern pattern = {
        .kind = ORIGIN_URL, .scheme = SLICE("https"), .host = SLICE("a.example"), .port = 443};
    check_origins(pattern, exact, COUNT(exact));
    pattern.wildcard = true;
    check_origins(pattern, wildcard, COUNT(wildcard));
    pattern = (struct origin_pattern){
        .kind = ORIGIN_URL, .scheme = SLICE("http"), .host = SLICE("a.example"), .port = 8080};
    check_origins(pattern, with_port, COUNT(with_port));
}

static void origins_any_and_none(void **state)
{
    (void)state;
    static const struct origin_case any[] = {
        {NULL, "gate", 80, false, true},
        {"", "gate", 80, false, true},
        {"null", "gate", 80, false, true},
        {"http://a.example/x", "gate", 443, true, true},
    };
    static const struct origin_case none[] = {
        {NULL, "gate", 80, false, true},
        {"", "gate", 80, false, false},
        {"null", "gate", 80, false, false},
        {"http://gate", "gate", 80, false, false},
    };
    check_origins((struct origin_pattern){.kind = ORIGIN_ANY}, any, COUNT(any));
    check_origins((struct origin_pattern){.kind = ORIGIN_NONE}, none, COUNT(none));
}

static void origins_of_a_list(void **state)
{
    (void)state;
    struct origin_pattern patterns[] = {{.kind = ORIGIN_SAME}, {.kind = ORIGIN_NONE}};
    struct route route = open_route();
    struct judge_request request = upgrade_request();
    route.origins = patterns;
    route.origin_count = COUNT(patterns);
    assert_int_equal(step_of(&route, &request), JUDGE_TAKEN);
    request.has_origin = true;
    request.origin = SLICE("http://a.example");
    assert_int_equal(step_of(&route, &request), JUDGE_TAKEN);
    request.origin = SLICE("http://evil.test");
    assert_int_equal(step_of(&route, &request), JUDGE_ORIGIN);
}

/* ---- Subprotocol. */

#define NAMED(literal)                                                                                       \
    {                                                                                                        \
        SUBPROTOCOL_NAME,                                                                                    \
        {                                                                                                    \
            literal, sizeof(literal) - 1                                                                     \
        }                                                                                                    \
    }
#define ANY                                                                                                  \
    {                                                                                                        \
        .kind = SUBPROTOCOL_ANY                                                                              \
    }
#define NONE                                                                                                 \
    {                                                                                                        \
        .kind = SUBPROTOCOL_NONE                                                                             \
    }

static void subprotocols(void **state)
{
    (void)state;
    static struct subprotocol_pattern any_none[] = {ANY, NONE}, none[] = {NONE}, any[] = {ANY},
                                      binary[] = {NAMED("binary")}, binary_none[] = {NAMED("binary"), NONE},
                                      b_a[] = {NAMED("b"), NAMED("a")}, none_any[] = {NONE, ANY},
                                      a_any[] = {NAMED("a"), ANY};
    static const struct {
        struct subprotocol_pattern *patterns;
        size_t count;
        const char *offered;
        const char *chosen; /* NULL: falls */
    } cases[] = {
        {any_none, 2, "", ""},
        {any_none, 2, "mqtt", "mqtt"},
        {any_none, 2, "mqtt,binary", "binary"},
        {any_none, 2, "mqtt , \tbinary ", "binary"},
        {any_none, 2, "x,y", "x"},
        {any_none, 2, "Binary,x", "Binary"},
        {any_none, 2, " , ", ""},
        {any_none, 2, ",x", "x"},
        {none_any, 2, "", ""},
        {none_any, 2, "x", "x"},
        {any, 1, "", NULL},
        {any, 1, "x", "x"},
        {none, 1, "", ""},
        {none, 1, "x", NULL},
        {none, 1, "binary", NULL},
        {binary, 1, "", NULL},
        {binary, 1, "binary", "binary"},
        {binary, 1, "BINARY", NULL},
        {binary, 1, "base64", NULL},
        {binary, 1, "base64,binary", "binary"},
        {binary, 1, "binaryx,xbinary", NULL},
        {binary_none, 2, "", ""},
        {binary_none, 2, "binary", "binary"},
        {binary_none, 2, "mqtt", NULL},
        {b_a, 2, "a,b", "b"},
        {b_a, 2, "a", "a"},
        {b_a, 2, "c", NULL},
        {a_any, 2, "binary,a", "a"},
        {a_any, 2, "x,binary", "binary"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct route route = open_route();
        struct judge_request request = upgrade_request();
        struct slice chosen = SLICE("unset");
        route.subprotocols = cases[i].patterns;
        route.subprotocol_count = cases[i].count;
        request.subprotocols = slice_from(cases[i].offered);
        enum judge_step step = judge_route(&route, &request, &chosen);
        const char *want = cases[i].chosen ? cases[i].chosen : "";
        if (step != (cases[i].chosen ? JUDGE_TAKEN : JUDGE_SUBPROTOCOL) ||
            !slice_eq(chosen, slice_from(want)))
            fail_msg(
                "subprotocol case %zu, offered \"%s\": got \"%.*s\"", i, cases[i].offered, SLICE_ARG(chosen));
        if (chosen.len > 0) /* the client's own words, as RFC 6455 4.2.2 has it */
            assert_true(
                chosen.p >= cases[i].offered && chosen.p < cases[i].offered + strlen(cases[i].offered));
    }
}

/* ---- Steps and verdicts. */

static struct host_pattern a_host[] = {{.name = {"a.example", 9}}}, b_host[] = {{.name = {"b.example", 9}}};
static struct path_pattern vnc_path[] = {{.path = {"/vnc", 4}}}, ssh_path[] = {{.path = {"/ssh", 4}}};
static struct ip_net elsewhere[] = {{.addr = {{0xfd}}, .prefix = 8}};
static struct origin_pattern no_origin[] = {{.kind = ORIGIN_NONE}};
static struct subprotocol_pattern mqtt[] = {NAMED("mqtt")};

/* Falls at `step` for upgrade_request(), and would at every later one too. */
static struct route route_that_falls_at(enum judge_step step)
{
    struct route route = open_route();
    route.hosts = step == JUDGE_HOST ? b_host : a_host;
    route.host_count = 1;
    route.paths = step <= JUDGE_PATH ? ssh_path : vnc_path;
    route.path_count = 1;
    route.from = elsewhere;
    route.from_count = step <= JUDGE_FROM;
    if (step <= JUDGE_ORIGIN) {
        route.origins = no_origin;
        route.origin_count = 1;
    }
    if (step <= JUDGE_SUBPROTOCOL) {
        route.subprotocols = mqtt;
        route.subprotocol_count = 1;
    }
    return route;
}

static struct judge_request request_with_origin(void)
{
    struct judge_request request = upgrade_request();
    request.has_origin = true;
    request.origin = SLICE("http://a.example");
    return request;
}

static void steps_come_in_order(void **state)
{
    (void)state;
    struct judge_request request = request_with_origin();
    for (int step = JUDGE_HOST; step <= JUDGE_TAKEN; step++) {
        struct route route = route_that_falls_at((enum judge_step)step);
        assert_int_equal(step_of(&route, &request), step);
    }
}

static void plain_requests_are_asked_less(void **state)
{
    (void)state;
    struct judge_request request = request_with_origin();
    request.upgrade = false;
    for (int step = JUDGE_HOST; step <= JUDGE_TAKEN; step++) {
        struct route route = route_that_falls_at((enum judge_step)step);
        assert_int_equal(step_of(&route, &request), step <= JUDGE_FROM ? step : JUDGE_TAKEN);
    }
}

/* Plain GETs alone: a folder is no WebSocket, so an upgrade falls at its path. */
static void files_are_for_plain_gets(void **state)
{
    (void)state;
    struct judge_request request = request_with_origin();
    request.subprotocols = SLICE("binary");
    for (int step = JUDGE_HOST; step <= JUDGE_TAKEN; step++) {
        struct route route = route_that_falls_at((enum judge_step)step);
        struct slice chosen = SLICE("unset");
        route.files = "www";
        request.upgrade = true;
        assert_int_equal(
            judge_route(&route, &request, &chosen), step == JUDGE_HOST ? JUDGE_HOST : JUDGE_PATH);
        request.upgrade = false;
        assert_int_equal(judge_route(&route, &request, &chosen), step <= JUDGE_FROM ? step : JUDGE_TAKEN);
        assert_int_equal(chosen.len, 0);
    }
}

static void the_first_that_takes_it_has_it(void **state)
{
    (void)state;
    struct route routes[] = {route_that_falls_at(JUDGE_SUBPROTOCOL), open_route(), open_route()};
    struct rules rules = {.routes = routes, .route_count = COUNT(routes)};
    struct judge_request request = request_with_origin();
    request.subprotocols = SLICE("x,binary");
    struct judgement verdict = judge(&rules, &request);
    assert_ptr_equal(verdict.route, &routes[1]);
    assert_int_equal(verdict.reached, JUDGE_TAKEN);
    assert_int_equal(verdict.status, 0);
    assert_true(slice_eq(verdict.subprotocol, SLICE("binary")));
}

static void the_furthest_decides_the_status(void **state)
{
    (void)state;
    static const unsigned statuses[] = {421, 404, 403, 403, 400};
    struct judge_request request = request_with_origin();
    for (int step = JUDGE_HOST; step < JUDGE_TAKEN; step++) {
        /* Wherever it stands among those that fall at the host. */
        for (size_t at = 0; at < 3; at++) {
            struct route routes[3];
            for (size_t i = 0; i < COUNT(routes); i++)
                routes[i] = route_that_falls_at(i == at ? (enum judge_step)step : JUDGE_HOST);
            struct rules rules = {.routes = routes, .route_count = COUNT(routes)};
            struct judgement verdict = judge(&rules, &request);
            assert_null(verdict.route);
            assert_int_equal(verdict.reached, step);
            assert_int_equal(verdict.status, statuses[step]);
            assert_int_equal(verdict.subprotocol.len, 0);
            assert_true(judge_phrase(verdict.reached)[0]);
        }
    }
    assert_int_equal(judge_status(JUDGE_TAKEN), 0);
    assert_string_equal(judge_phrase(JUDGE_TAKEN), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(paths),
        cmocka_unit_test(clients),
        cmocka_unit_test(same_origins),
        cmocka_unit_test(origins_by_url),
        cmocka_unit_test(origins_any_and_none),
        cmocka_unit_test(origins_of_a_list),
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(steps_come_in_order),
        cmocka_unit_test(plain_requests_are_asked_less),
        cmocka_unit_test(files_are_for_plain_gets),
        cmocka_unit_test(the_first_that_takes_it_has_it),
        cmocka_unit_test(the_furthest_decides_the_status),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
