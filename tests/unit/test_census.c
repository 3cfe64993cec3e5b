/* Counters, histograms, and the census of one worker alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/census.h"

static struct ip_addr address(const char *text)
{
    struct ip_addr addr;
    assert_true(ip_parse(slice_from(text), &addr));
    return addr;
}

/* ---- Tally. */

static void test_statuses(void **state)
{
    (void)state;
    static struct tally tally;
    unsigned at_500 = 0;
    unsigned count = 0;
    for (; tally_status_at(count) != 0; count++) {
        tally_refused(&tally, tally_status_at(count));
        assert_int_equal(1, tally_read(&tally.refused[count]));
        at_500 = tally_status_at(count) == 500 ? count : at_500;
    }
    assert_in_range(count, 1, TALLY_STATUSES);
    assert_int_equal(0, tally_status_at(TALLY_STATUSES));
    assert_int_equal(0, tally_status_at(UINT32_MAX));
    tally_refused(&tally, 599);
    assert_int_equal(2, tally_read(&tally.refused[at_500]));
}

static void test_histogram(void **state)
{
    (void)state;
    const uint32_t bounds_ms[TALLY_BUCKETS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, UINT32_MAX};
    struct tally_histogram h = {0};
    tally_observe(&h, bounds_ms, 0);
    tally_observe(&h, bounds_ms, 1000); /* a bound belongs to its bucket */
    tally_observe(&h, bounds_ms, 1001);
    tally_observe(&h, bounds_ms, (uint64_t)UINT32_MAX * 1000);
    tally_observe(&h, bounds_ms, (uint64_t)UINT32_MAX * 1000 + 1);
    assert_int_equal(2, tally_read(&h.buckets[0]));
    assert_int_equal(1, tally_read(&h.buckets[1]));
    assert_int_equal(1, tally_read(&h.buckets[TALLY_BUCKETS - 1]));
    assert_int_equal(1, tally_read(&h.buckets[TALLY_BUCKETS]));
    assert_int_equal(2 * (uint64_t)UINT32_MAX * 1000 + 2002, tally_read(&h.sum_us));
}

static void test_bounds_rise(void **state)
{
    (void)state;
    const uint32_t *all[] = {tally_connect_bounds_ms, tally_session_bounds_ms, tally_ping_bounds_ms};
    for (size_t i = 0; i < 3; i++) {
        assert_true(all[i][0] > 0);
        for (size_t k = 1; k < TALLY_BUCKETS; k++) {
            assert_true(all[i][k] > all[i][k - 1]);
        }
    }
}

static void test_gauges(void **state)
{
    (void)state;
    struct census *census = census_new_alone();
    assert_non_null(census);
    uint64_t sessions = 9;
    uint64_t lingering = 9;
    census->row(census, TALLY_ROWS - 1, &sessions, &lingering);
    assert_int_equal(0, sessions + lingering);
    tally_add(&census->own->rows[3].sessions, 2);
    tally_take(&census->own->rows[3].sessions, 1);
    tally_add(&census->own->sessions, 5);
    tally_add(&census->own->lingering, 7);
    census->row(census, 3, &sessions, &lingering);
    assert_int_equal(1, sessions);
    assert_int_equal(0, lingering);
    census->all(census, &sessions, &lingering);
    assert_int_equal(5, sessions);
    assert_int_equal(7, lingering);
    census_free_alone(census);
}

/* ---- Clients. */

static void assert_same_client(bool same, const char *a, const char *b)
{
    struct ip_addr one = address(a);
    struct ip_addr other = address(b);
    struct ip_addr key = census_client_key(&one);
    struct ip_addr other_key = census_client_key(&other);
    assert_int_equal(same, memcmp(&key, &other_key, sizeof key) == 0);
}

static void test_who_is_one_client(void **state)
{
    (void)state;
    assert_same_client(true, "192.0.2.1", "192.0.2.1");
    assert_same_client(true, "192.0.2.1", "::ffff:192.0.2.1");
    assert_same_client(false, "192.0.2.1", "192.0.2.2");
    assert_same_client(true, "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff");
    assert_same_client(false, "2001:db8:1:2::1", "2001:db8:1:3::1");
}

static void test_sessions_of_a_client(void **state)
{
    (void)state;
    struct census *census = census_new_alone();
    struct ip_addr a = address("2001:db8::1");
    struct ip_addr neighbour = address("2001:db8::2");
    struct ip_addr b = address("192.0.2.1");
    assert_true(census->client_enter(census, &a, 2));
    assert_true(census->client_enter(census, &neighbour, 2));
    assert_false(census->client_enter(census, &a, 2));
    assert_true(census->client_enter(census, &b, 2));
    assert_true(census->client_enter(census, &a, 3)); /* another limit, the same count */
    census->client_leave(census, &a);
    census->client_leave(census, &neighbour);
    assert_true(census->client_enter(census, &a, 2));
    assert_false(census->client_enter(census, &a, 2));
    census->client_leave(census, &a);
    census->client_leave(census, &a);
    census->client_leave(census, &b);
    assert_true(census->client_enter(census, &a, 1));
    census_free_alone(census);
}

/* Several clients a chain: each leaves its neighbours in place. */
static void test_many_clients(void **state)
{
    (void)state;
    struct census *census = census_new_alone();
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            struct ip_addr addr = {.bytes = {0x20, [5] = (uint8_t)(i >> 8), [6] = (uint8_t)i}};
            assert_true(census->client_enter(census, &addr, 1));
            assert_false(census->client_enter(census, &addr, 1));
        }
        for (unsigned i = 0; i < 5000; i++) {
            struct ip_addr addr = {.bytes = {0x20, [5] = (uint8_t)(i >> 8), [6] = (uint8_t)i}};
            census->client_leave(census, &addr);
        }
    }
    census_free_alone(census);
}

static void test_rate_of_a_client(void **state)
{
    (void)state;
    struct census *census = census_new_alone();
    const struct rate_rule rate = {.count = 4, .per_ms = 1000};
    struct ip_addr a = address("192.0.2.1");
    struct ip_addr b = address("192.0.2.2");
    uint64_t now_ms = 1000000;
    for (int i = 0; i < 4; i++) { /* at once, after a pause */
        assert_true(census->client_new(census, &a, rate, now_ms));
    }
    for (int i = 0; i < 3; i++) { /* what is refused takes nothing */
        assert_false(census->client_new(census, &a, rate, now_ms + 249));
    }
    assert_true(census->client_new(census, &b, rate, now_ms));
    assert_true(census->client_new(census, &a, rate, now_ms + 250));
    assert_false(census->client_new(census, &a, rate, now_ms + 250));
    assert_true(census->client_new(census, &a, rate, now_ms + 800));
    assert_true(census->client_new(census, &a, rate, now_ms + 800));
    assert_false(census->client_new(census, &a, rate, now_ms + 800));
    census_free_alone(census);
}

/* A rate slower than a session lives, and one that is no whole number of microseconds. */
static void test_rates(void **state)
{
    (void)state;
    struct census *census = census_new_alone();
    struct ip_addr a = address("192.0.2.1");
    struct ip_addr b = address("192.0.2.2");
    const struct rate_rule hourly = {.count = 1, .per_ms = 3600000};
    assert_true(census->client_new(census, &a, hourly, 0));
    assert_true(census->client_enter(census, &a, 1));
    census->client_leave(census, &a); /* it is still known by its rate */
    assert_false(census->client_new(census, &a, hourly, 3599999));
    assert_true(census->client_new(census, &a, hourly, 3600000));
    const struct rate_rule thirds = {.count = 3, .per_ms = 1000};
    unsigned passed = 0;
    for (uint64_t now_ms = 0; now_ms < 10000; now_ms++) {
        passed += census->client_new(census, &b, thirds, now_ms);
    }
    assert_in_range(passed, 32, 33);
    census_free_alone(census);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_bounds_rise),
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_who_is_one_client),
        cmocka_unit_test(test_sessions_of_a_client),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_rate_of_a_client),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests_name("census", tests, NULL, NULL);
}
