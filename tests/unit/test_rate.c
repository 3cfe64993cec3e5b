/* relay/rate: a token bucket whose clock is handed in. */
#include "base/clock.h"
#include "relay/rate.h"
#include "rules/rules.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static void without_a_limit_all_is_allowed(void **state)
{
    (void)state;
    struct rate_bucket bucket;
    rate_init(&bucket, SIZE_OFF, NOW);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(1 << 20, rate_allows(&bucket, 1 << 20, NOW));
        rate_take(&bucket, 1 << 20, NOW);
        assert_true(rate_due_ms(&bucket, NOW) == CLOCK_NEVER);
    }
}

static void a_second_is_there_at_once(void **state)
{
    (void)state;
    struct rate_bucket bucket;
    rate_init(&bucket, 100000, NOW);
    assert_int_equal(100000, rate_allows(&bucket, 1 << 20, NOW));
    assert_int_equal(700, rate_allows(&bucket, 700, NOW));
    rate_take(&bucket, 100000, NOW);
    assert_int_equal(0, rate_allows(&bucket, 1 << 20, NOW));
    assert_int_equal(NOW + RATE_STEP_MS, rate_due_ms(&bucket, NOW));
    assert_int_equal(0, rate_allows(&bucket, 1 << 20, NOW + RATE_STEP_MS - 1));
    assert_int_equal(5000, rate_allows(&bucket, 1 << 20, NOW + RATE_STEP_MS));
    assert_true(rate_due_ms(&bucket, NOW + RATE_STEP_MS) == CLOCK_NEVER);
}

static void no_more_than_a_second_gathers(void **state)
{
    (void)state;
    struct rate_bucket bucket;
    rate_init(&bucket, 100000, NOW);
    rate_take(&bucket, 100000, NOW);
    assert_int_equal(100000, rate_allows(&bucket, SIZE_MAX, NOW + 1000));
    assert_int_equal(100000, rate_allows(&bucket, SIZE_MAX, NOW + 3600 * 1000));
    assert_int_equal(100000, rate_allows(&bucket, SIZE_MAX, UINT64_MAX - 1));
}

static void a_slow_one_has_a_read_at_once(void **state)
{
    (void)state;
    struct rate_bucket bucket;
    rate_init(&bucket, 1024, NOW);
    assert_int_equal(RATE_BURST_LEAST, rate_allows(&bucket, SIZE_MAX, NOW));
    rate_init(&bucket, 1, NOW);
    rate_take(&bucket, RATE_BURST_LEAST, NOW);
    assert_int_equal(NOW + 1000, rate_due_ms(&bucket, NOW));
    assert_int_equal(1, rate_allows(&bucket, SIZE_MAX, NOW + 1000));
}

static void the_largest_does_not_overflow(void **state)
{
    (void)state;
    struct rate_bucket bucket;
    rate_init(&bucket, SIZE_OFF - 1, NOW);
    assert_int_equal(1 << 18, rate_allows(&bucket, 1 << 18, NOW));
    rate_take(&bucket, 1 << 18, NOW);
    assert_int_equal(1 << 18, rate_allows(&bucket, 1 << 18, UINT64_MAX - 1));
}

/* Read whenever it may be, late or not: over ten seconds it comes to the rate, to the byte. */
static void in_the_long_run_it_is_the_rate(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1024, 65536, 1000003, 1 << 20, 123456789};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        for (uint64_t late_ms = 0; late_ms < 40; late_ms += 13) {
            struct rate_bucket bucket;
            rate_init(&bucket, rates[i], NOW);
            uint64_t burst = rate_allows(&bucket, SIZE_MAX, NOW);
            rate_take(&bucket, burst, NOW);
            uint64_t sum = 0;
            uint64_t now_ms = NOW;
            unsigned wakes = 0;
            while (now_ms < NOW + 10000) {
                uint64_t due_ms = rate_due_ms(&bucket, now_ms);
                assert_true(due_ms > now_ms && due_ms != CLOCK_NEVER);
                now_ms = due_ms + late_ms;
                size_t n = rate_allows(&bucket, SIZE_MAX, now_ms);
                assert_true(n > 0);
                rate_take(&bucket, n, now_ms);
                sum += n;
                wakes++;
            }
            uint64_t right = rates[i] * (now_ms - NOW) / 1000;
            assert_in_range(sum, right - 1, right);
            assert_in_range(wakes, 1, 200);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_all_is_allowed),
        cmocka_unit_test(a_second_is_there_at_once),
        cmocka_unit_test(no_more_than_a_second_gathers),
        cmocka_unit_test(a_slow_one_has_a_read_at_once),
        cmocka_unit_test(the_largest_does_not_overflow),
        cmocka_unit_test(in_the_long_run_it_is_the_rate),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
