/* net/wheel: never early, never forgotten, and whatever a callback does to the timers around it. */
#include "base/clock.h"
#include "net/wheel.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LAP_MS = WHEEL_SLOTS * WHEEL_TICK_MS };

/* A timer that notes when it fired, and then does what a test wants it to. */
struct probe {
    struct wheel_timer timer;
    struct wheel *wheel;
    unsigned fired;
    uint64_t fired_ms;
    uint64_t due_ms; /* as it was armed */
    void (*act)(struct probe *probe, uint64_t now_ms);
    struct probe *other;
};

static void noted(struct wheel_timer *timer, uint64_t now_ms)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    assert_false(wheel_armed(timer));
    assert_true(now_ms >= probe->due_ms); /* never early */
    probe->fired++;
    probe->fired_ms = now_ms;
    if (probe->act != NULL) {
        probe->act(probe, now_ms);
    }
}

static void probe_init(struct probe *probe, struct wheel *wheel)
{
    *probe = (struct probe){.wheel = wheel};
    wheel_timer_init(&probe->timer, noted);
}

static void arm(struct probe *probe, uint64_t due_ms)
{
    probe->due_ms = due_ms;
    wheel_arm(probe->wheel, &probe->timer, due_ms);
    assert_int_equal(wheel_armed(&probe->timer), due_ms != CLOCK_NEVER);
}

static struct wheel *wheel_at(uint64_t now_ms)
{
    struct wheel *wheel = malloc(sizeof *wheel);
    assert_non_null(wheel);
    wheel_init(wheel, now_ms);
    return wheel;
}

/* Time goes on by 1 ms until `end_ms`. */
static void run_through(struct wheel *wheel, uint64_t from_ms, uint64_t end_ms)
{
    for (uint64_t now = from_ms; now <= end_ms; now++) {
        wheel_run(wheel, now);
    }
}

static void never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    static const uint64_t delays[] = {0, 1, 7, 8, 9, 15, 16, 17, 100, 999, 1000, LAP_MS - 9, LAP_MS - 8,
        LAP_MS - 1, LAP_MS, LAP_MS + 1, LAP_MS + 8, LAP_MS + 9, 2 * LAP_MS, 3 * LAP_MS + 5};
    for (uint64_t start = 1000000; start < 1000000 + WHEEL_TICK_MS; start++) {
        struct wheel *wheel = wheel_at(start);
        struct probe probes[COUNT(delays)];
        for (size_t i = 0; i < COUNT(delays); i++) {
            probe_init(&probes[i], wheel);
            arm(&probes[i], start + delays[i]);
        }
        run_through(wheel, start, start + 3 * LAP_MS + 100);
        for (size_t i = 0; i < COUNT(delays); i++) {
            assert_int_equal(probes[i].fired, 1);
            assert_true(probes[i].fired_ms < probes[i].due_ms + WHEEL_TICK_MS + (delays[i] == 0));
        }
        free(wheel);
    }
}

static void what_is_past_fires_at_the_next_tick(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(5000);
    struct probe probe;
    probe_init(&probe, wheel);
    arm(&probe, 0);
    wheel_run(wheel, 5000);
    assert_int_equal(probe.fired, 0); /* a turn's end is not reached twice in a tick */
    run_through(wheel, 5001, 5008);
    assert_int_equal(probe.fired, 1);
    free(wheel);
}

static void moved_and_cancelled(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe later, sooner, cancelled, never;
    probe_init(&later, wheel);
    probe_init(&sooner, wheel);
    probe_init(&cancelled, wheel);
    probe_init(&never, wheel);
    wheel_cancel(&never.timer); /* was not armed: does no harm */
    arm(&later, 100);
    arm(&later, 200);
    arm(&later, 200);
    arm(&sooner, 300);
    arm(&sooner, 50);
    arm(&cancelled, 100);
    wheel_cancel(&cancelled.timer);
    wheel_cancel(&cancelled.timer);
    assert_false(wheel_armed(&cancelled.timer));
    arm(&never, 100);
    arm(&never, CLOCK_NEVER);
    run_through(wheel, 0, 1000);
    assert_int_equal(later.fired, 1);
    assert_true(later.fired_ms >= 200 && later.fired_ms <= 208);
    assert_int_equal(sooner.fired, 1);
    assert_true(sooner.fired_ms >= 50 && sooner.fired_ms <= 58);
    assert_int_equal(cancelled.fired + never.fired, 0);
    arm(&cancelled, 1100); /* and it can be armed again */
    run_through(wheel, 1000, 1200);
    assert_int_equal(cancelled.fired, 1);
    free(wheel);
}

/* What costs O(1) leaves nothing behind: a timer stands in one slot, however often it was moved. */
static void a_million_moves(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe probe;
    probe_init(&probe, wheel);
    for (uint64_t i = 0; i < 1000000; i++) {
        arm(&probe, 1 + i * 7919 % 600000);
    }
    arm(&probe, 60000);
    size_t standing = 0;
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        for (struct list *at = wheel->slots[i].next; at != &wheel->slots[i]; at = at->next) {
            standing++;
        }
    }
    assert_int_equal(standing, 1);
    run_through(wheel, 0, 61000);
    assert_int_equal(probe.fired, 1);
    assert_true(probe.fired_ms <= 60008);
    free(wheel);
}

static void time_jumps(void **state)
{
    (void)state;
    static const uint64_t jumps[] = {LAP_MS - 8, LAP_MS - 1, LAP_MS, LAP_MS + 1, LAP_MS + 8, 5 * LAP_MS + 3,
        UINT64_C(1000) * LAP_MS, UINT64_C(1) << 50};
    for (size_t i = 0; i < COUNT(jumps); i++) {
        struct wheel *wheel = wheel_at(77);
        struct probe probes[64];
        for (size_t j = 0; j < COUNT(probes); j++) {
            probe_init(&probes[j], wheel);
            arm(&probes[j], 77 + j * (LAP_MS / 32)); /* two laps of them */
        }
        wheel_run(wheel, 77 + jumps[i]);
        for (size_t j = 0; j < COUNT(probes); j++) {
            bool due =
                (probes[j].due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS <= (77 + jumps[i]) / WHEEL_TICK_MS;
            assert_true(
                probes[j].fired == 1 || !due); /* one due within the tick under way may fire or wait */
        }
        run_through(wheel, 77 + jumps[i], 77 + jumps[i] + 2 * LAP_MS + 8);
        for (size_t j = 0; j < COUNT(probes); j++) {
            assert_int_equal(probes[j].fired, 1);
        }
        free(wheel);
    }
}

static void time_that_stands_or_goes_back(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(10000);
    struct probe probe;
    probe_init(&probe, wheel);
    arm(&probe, 10100);
    wheel_run(wheel, 10000);
    wheel_run(wheel, 9000);
    wheel_run(wheel, 0);
    assert_int_equal(wheel_timeout_ms(wheel, 10000, -1), 104);
    wheel_run(wheel, 10096);
    wheel_run(wheel, 10050);
    assert_int_equal(probe.fired, 0);
    wheel_run(wheel, 10104);
    assert_int_equal(probe.fired, 1);
    free(wheel);
}

/* ---- Changes from inside callbacks. */

static void arm_self(struct probe *probe, uint64_t now_ms)
{
    arm(probe, now_ms);
}

/* One that is due again at once must not keep the run from ending, whatever the jump. */
static void a_timer_that_arms_itself_anew(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe probe;
    probe_init(&probe, wheel);
    probe.act = arm_self;
    arm(&probe, 1);
    wheel_run(wheel, 8);
    assert_int_equal(probe.fired, 1);
    wheel_run(wheel, 8 + LAP_MS);
    assert_int_equal(probe.fired, 2);
    wheel_run(wheel, 8 + 10 * LAP_MS);
    assert_int_equal(probe.fired, 3);
    run_through(wheel, 8 + 10 * LAP_MS, 8 + 10 * LAP_MS + 80);
    assert_int_equal(probe.fired, 13);
    free(wheel);
}

static void arm_self_a_lap_on(struct probe *probe, uint64_t now_ms)
{
    arm(probe, now_ms + LAP_MS);
}

static void into_the_same_slot_a_lap_later(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe probe;
    probe_init(&probe, wheel);
    probe.act = arm_self_a_lap_on;
    arm(&probe, 800);
    run_through(wheel, 0, 800 + 3 * LAP_MS);
    assert_int_equal(probe.fired, 4);
    assert_int_equal(probe.fired_ms, 800 + 3 * LAP_MS);
    free(wheel);
}

static void cancel_other(struct probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    wheel_cancel(&probe->other->timer);
    memset(&probe->other->timer, 0xEE, sizeof probe->other->timer); /* as if it were freed */
}

/* Two that are due in one tick: the first cancels the second and frees it. */
static void a_callback_cancels_one_that_is_due_as_well(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe probes[2];
    for (size_t i = 0; i < 2; i++) {
        probe_init(&probes[i], wheel);
        probes[i].act = cancel_other;
        probes[i].other = &probes[1 - i];
        arm(&probes[i], 100);
    }
    run_through(wheel, 0, 200);
    assert_int_equal(probes[0].fired + probes[1].fired, 1);
    free(wheel);
}

static void postpone_other(struct probe *probe, uint64_t now_ms)
{
    if (probe->other->fired == 0) {
        arm(probe->other, now_ms + 500);
    }
}

static void a_callback_moves_one_that_is_due_as_well(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe probes[2];
    for (size_t i = 0; i < 2; i++) {
        probe_init(&probes[i], wheel);
        probes[i].act = postpone_other;
        probes[i].other = &probes[1 - i];
        arm(&probes[i], 100);
    }
    run_through(wheel, 0, 400);
    assert_int_equal(probes[0].fired + probes[1].fired, 1);
    run_through(wheel, 400, 700);
    assert_int_equal(probes[0].fired, 1);
    assert_int_equal(probes[1].fired, 1);
    free(wheel);
}

static void arm_other_now(struct probe *probe, uint64_t now_ms)
{
    arm(probe->other, now_ms);
}

static void a_callback_arms_another_for_now(void **state)
{
    (void)state;
    for (uint64_t jump = WHEEL_TICK_MS; jump <= 4 * LAP_MS; jump *= 2) {
        struct wheel *wheel = wheel_at(0);
        struct probe first, second;
        probe_init(&first, wheel);
        probe_init(&second, wheel);
        first.act = arm_other_now;
        first.other = &second;
        arm(&first, 1);
        wheel_run(wheel, jump);
        assert_int_equal(first.fired, 1);
        wheel_run(wheel, jump + WHEEL_TICK_MS);
        assert_int_equal(second.fired, 1);
        free(wheel);
    }
}

/* ---- How long to wait. */

static void nothing_armed_waits_as_long_as_it_may(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(1234);
    assert_int_equal(wheel_timeout_ms(wheel, 1234, -1), -1);
    assert_int_equal(wheel_timeout_ms(wheel, 1234, 0), 0);
    assert_int_equal(wheel_timeout_ms(wheel, 1234, 500), 500);
    free(wheel);
}

/* Waiting just as long as told, a timer is never missed by more than a tick, and the waits are few. */
static void waits_lead_to_every_timer(void **state)
{
    (void)state;
    static const uint64_t starts[] = {0, 1, 7, 8, 500, 8191, 8192, 123456789};
    static const uint64_t delays[] = {
        0, 1, 8, 63, 512, 513, 520, 4096, 8184, 8191, 8192, 8193, 20000, 100000};
    for (size_t s = 0; s < COUNT(starts); s++) {
        for (size_t i = 0; i < COUNT(delays); i++) {
            struct wheel *wheel = wheel_at(starts[s]);
            struct probe probe;
            uint64_t now = starts[s];
            unsigned waits = 0;
            probe_init(&probe, wheel);
            arm(&probe, now + delays[i]);
            while (probe.fired == 0 && waits < 100) {
                int wait_ms = wheel_timeout_ms(wheel, now, -1);
                assert_true(wait_ms >= 0 && wait_ms <= LAP_MS);
                now += (uint64_t)wait_ms;
                wheel_run(wheel, now);
                waits++;
            }
            assert_int_equal(probe.fired, 1);
            assert_true(now <= probe.due_ms + WHEEL_TICK_MS);
            assert_true(waits <= 2 + delays[i] / LAP_MS);
            assert_int_equal(wheel_timeout_ms(wheel, now, -1), -1);
            free(wheel);
        }
    }
}

static void the_next_one_and_the_cap(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_at(0);
    struct probe near, far;
    probe_init(&near, wheel);
    probe_init(&far, wheel);
    arm(&far, 4000);
    assert_int_equal(wheel_timeout_ms(wheel, 0, -1), 4000);
    assert_int_equal(wheel_timeout_ms(wheel, 3, -1), 3997);
    assert_int_equal(wheel_timeout_ms(wheel, 0, 100), 100);
    assert_int_equal(wheel_timeout_ms(wheel, 0, 0), 0);
    arm(&near, 81);
    assert_int_equal(wheel_timeout_ms(wheel, 0, -1), 88);
    assert_int_equal(wheel_timeout_ms(wheel, 88, -1), 0);
    assert_int_equal(wheel_timeout_ms(wheel, 5000, -1), 0);
    wheel_run(wheel, 88);
    assert_int_equal(near.fired, 1);
    assert_int_equal(wheel_timeout_ms(wheel, 88, -1), 4000 - 88);
    wheel_cancel(&far.timer);
    wheel_run(wheel, 4000); /* a cancelled one may cost this one wake */
    assert_int_equal(wheel_timeout_ms(wheel, 4000, -1), -1);
    free(wheel);
}

/* ---- Against a list that is looked through. */

static void as_a_plain_list_would(void **state)
{
    (void)state;
    enum { TIMERS = 50, STEPS = 20000 };
    struct probe probes[TIMERS];
    uint64_t now = 4242;
    uint32_t random = 1;
    struct wheel *wheel = wheel_at(now);
    for (size_t i = 0; i < TIMERS; i++) {
        probe_init(&probes[i], wheel);
    }
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        struct probe *probe = &probes[(random >> 8) % TIMERS];
        uint32_t choice = random >> 24;
        if (choice < 160) {
            arm(probe, now + (random >> 4) % (choice < 80 ? 300 : 3 * LAP_MS));
        } else if (choice < 180) {
            wheel_cancel(&probe->timer);
        } else {
            uint64_t before = now;
            now += choice < 250 ? choice % 20 : choice % 3 * LAP_MS;
            wheel_run(wheel, now);
            for (size_t i = 0; i < TIMERS && now / WHEEL_TICK_MS > before / WHEEL_TICK_MS; i++) {
                /* Whatever was due by the last whole tick is not armed any more. */
                uint64_t due = probes[i].due_ms;
                assert_true(!wheel_armed(&probes[i].timer) || due > now / WHEEL_TICK_MS * WHEEL_TICK_MS);
            }
        }
    }
    unsigned fired = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        fired += probes[i].fired;
    }
    assert_true(fired > STEPS / 20);
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(what_is_past_fires_at_the_next_tick),
        cmocka_unit_test(moved_and_cancelled),
        cmocka_unit_test(a_million_moves),
        cmocka_unit_test(time_jumps),
        cmocka_unit_test(time_that_stands_or_goes_back),
        cmocka_unit_test(a_timer_that_arms_itself_anew),
        cmocka_unit_test(into_the_same_slot_a_lap_later),
        cmocka_unit_test(a_callback_cancels_one_that_is_due_as_well),
        cmocka_unit_test(a_callback_moves_one_that_is_due_as_well),
        cmocka_unit_test(a_callback_arms_another_for_now),
        cmocka_unit_test(nothing_armed_waits_as_long_as_it_may),
        cmocka_unit_test(waits_lead_to_every_timer),
        cmocka_unit_test(the_next_one_and_the_cap),
        cmocka_unit_test(as_a_plain_list_would),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
