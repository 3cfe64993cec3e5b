/* relay/targets: which of several is tried, and which are passed over. Nothing is connected. */
#include "relay/targets.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW = 5000000, SECOND = 1000 };

static struct target_rule rules_of_targets[TARGETS_MAX];
static struct route route;
static struct rules rules = {.routes = &route, .route_count = 1};

static struct targets *some(size_t count)
{
    char why[TLS_WHY_MAX];
    route = (struct route){.targets = rules_of_targets, .target_count = count};
    struct targets *targets = targets_new(&rules, why);
    assert_non_null(targets);
    return targets;
}

static unsigned choose_and_dial(struct targets *targets, enum balance balance, uint64_t now_ms)
{
    unsigned at = targets_choose(targets, balance, 0, now_ms);
    targets_dialed(targets, at);
    return at;
}

static void fail_at(struct targets *targets, unsigned at, uint64_t now_ms)
{
    targets_dialed(targets, at);
    targets_failed(targets, at, now_ms);
}

static void first_takes_them_in_order(void **state)
{
    (void)state;
    struct targets *targets = some(3);
    assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 0, NOW));
    assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 1, NOW));
    assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 2, NOW));
    assert_int_equal(2, targets_choose(targets, BALANCE_FIRST, 3, NOW));
    assert_int_equal(TARGETS_NONE, targets_choose(targets, BALANCE_FIRST, 7, NOW));
    targets_free(targets, 1);
}

static void as_many_as_there_can_be(void **state)
{
    (void)state;
    struct targets *targets = some(TARGETS_MAX);
    uint64_t tried = 0;
    for (unsigned i = 0; i < TARGETS_MAX; i++) {
        assert_int_equal(i, targets_choose(targets, BALANCE_FIRST, tried, NOW));
        tried |= UINT64_C(1) << i;
    }
    assert_int_equal(TARGETS_NONE, targets_choose(targets, BALANCE_FIRST, tried, NOW));
    targets_free(targets, 1);
}

static void round_robin_goes_round(void **state)
{
    (void)state;
    struct targets *targets = some(3);
    unsigned start = targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW);
    for (unsigned i = 1; i < 10; i++) {
        assert_int_equal((start + i) % 3, targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW));
    }
    /* The one whose turn it is is passed over: the next has it, and the order goes on behind that. */
    unsigned down = targets->next;
    fail_at(targets, down, NOW);
    assert_int_equal((down + 1) % 3, targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW));
    assert_int_equal((down + 2) % 3, targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW));
    assert_int_equal((down + 1) % 3, targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW));
    targets_free(targets, 1);
}

/* Workers that are started at once do not all begin with the same target. */
static void round_robin_starts_anywhere(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (int i = 0; i < 200; i++) {
        struct targets *targets = some(3);
        seen |= 1U << targets_choose(targets, BALANCE_ROUND_ROBIN, 0, NOW);
        targets_free(targets, 1);
    }
    assert_int_equal(7, seen);
}

static void least_sessions_evens_out(void **state)
{
    (void)state;
    struct targets *targets = some(3);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(i % 3, choose_and_dial(targets, BALANCE_LEAST_SESSIONS, NOW));
        assert_int_equal(0, targets_reached(targets, i % 3));
    }
    targets_left(targets, 1);
    assert_int_equal(1, targets_choose(targets, BALANCE_LEAST_SESSIONS, 0, NOW));
    assert_int_equal(0, targets_choose(targets, BALANCE_LEAST_SESSIONS, 2, NOW));
    targets_left(targets, 2);
    targets_left(targets, 2);
    assert_int_equal(2, targets_choose(targets, BALANCE_LEAST_SESSIONS, 0, NOW));
    targets_free(targets, 1);
}

static void a_failure_rests_and_is_tried_by_one(void **state)
{
    (void)state;
    struct targets *targets = some(2);
    fail_at(targets, 0, NOW);
    assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 0, NOW));
    assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 0, NOW + SECOND - 1));
    assert_int_equal(0, choose_and_dial(targets, BALANCE_FIRST, NOW + SECOND));
    assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 0, NOW + SECOND));
    assert_int_equal(1, targets_reached(targets, 0));
    assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 0, NOW + SECOND));
    targets_free(targets, 1);
}

/* A session that goes away while it finds out leaves that to the next one. */
static void who_gives_up_finds_nothing_out(void **state)
{
    (void)state;
    struct targets *targets = some(2);
    fail_at(targets, 0, NOW);
    assert_int_equal(0, choose_and_dial(targets, BALANCE_FIRST, NOW + SECOND));
    targets_given_up(targets, 0);
    assert_int_equal(0, choose_and_dial(targets, BALANCE_FIRST, NOW + SECOND));
    assert_int_equal(1, targets_reached(targets, 0));
    targets_free(targets, 1);
}

static void the_pause_doubles_up_to_a_minute(void **state)
{
    (void)state;
    static const unsigned pauses[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct targets *targets = some(2);
    uint64_t now_ms = NOW;
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        fail_at(targets, 0, now_ms);
        uint64_t over_ms = now_ms + (uint64_t)pauses[i] * SECOND;
        assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 0, over_ms - 1));
        assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 0, over_ms));
        now_ms = over_ms;
    }
    targets_dialed(targets, 0);
    assert_int_equal(sizeof pauses / sizeof pauses[0], targets_reached(targets, 0));
    fail_at(targets, 0, now_ms);
    assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 0, now_ms + SECOND));
    targets_free(targets, 1);
}

static void a_crowd_that_fails_is_one_failure(void **state)
{
    (void)state;
    struct targets *targets = some(2);
    for (int i = 0; i < 100; i++) {
        targets_dialed(targets, 0);
    }
    for (int i = 0; i < 100; i++) {
        targets_failed(targets, 0, NOW + (uint64_t)i);
    }
    assert_int_equal(1, targets_choose(targets, BALANCE_FIRST, 0, NOW + SECOND - 1));
    assert_int_equal(0, targets_choose(targets, BALANCE_FIRST, 0, NOW + SECOND));
    assert_int_equal(0, targets->states[0].sessions);
    targets_free(targets, 1);
}

static void when_all_rest_the_soonest_is_tried(void **state)
{
    (void)state;
    struct targets *targets = some(3);
    fail_at(targets, 1, NOW);
    fail_at(targets, 2, NOW + 10);
    fail_at(targets, 0, NOW + 20);
    static const enum balance balances[] = {BALANCE_FIRST, BALANCE_ROUND_ROBIN, BALANCE_LEAST_SESSIONS};
    for (size_t i = 0; i < sizeof balances / sizeof balances[0]; i++) {
        assert_int_equal(1, targets_choose(targets, balances[i], 0, NOW + 30));
        assert_int_equal(2, targets_choose(targets, balances[i], 2, NOW + 30));
        assert_int_equal(0, targets_choose(targets, balances[i], 6, NOW + 30));
        assert_int_equal(TARGETS_NONE, targets_choose(targets, balances[i], 7, NOW + 30));
    }
    targets_free(targets, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_takes_them_in_order),
        cmocka_unit_test(as_many_as_there_can_be),
        cmocka_unit_test(round_robin_goes_round),
        cmocka_unit_test(round_robin_starts_anywhere),
        cmocka_unit_test(least_sessions_evens_out),
        cmocka_unit_test(a_failure_rests_and_is_tried_by_one),
        cmocka_unit_test(who_gives_up_finds_nothing_out),
        cmocka_unit_test(the_pause_doubles_up_to_a_minute),
        cmocka_unit_test(a_crowd_that_fails_is_one_failure),
        cmocka_unit_test(when_all_rest_the_soonest_is_tried),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
