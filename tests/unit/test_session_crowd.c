/* A crowd that comes and goes: its memory is given back, and those who stay do not wait for that time and
 * again.
 */
#include "relay/session.h"
#include "script.h"
#include <malloc.h>

enum { CROWD = 40, WAVES = 20, WAVE_MS = 100, MOST = WAVES * WAVE_MS / 1000 + 1 };

static unsigned trims;

/* In place of malloc(3)'s own, which walks the whole heap: some 30 ms for the 10,000 sessions of a worker. */
int malloc_trim(size_t pad)
{
    (void)pad;
    trims++;
    return 1;
}

static void wave(struct bench *b)
{
    static struct script_pair crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        pair_init(b, &crowd[i], &script_easy, &script_easy);
        bench_accept(b, &crowd[i]);
    }
    bench_run(b);
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i].client.end = SCRIPT_EOF;
    }
    bench_run(b);
    for (size_t i = 0; i < CROWD; i++) {
        assert_true(crowd[i].client.closed);
        pair_fini(&crowd[i]);
    }
}

static void test_crowds_that_come_and_go(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, "", "");
    for (int i = 0; i < WAVES; i++) {
        wave(&b);
        bench_pass(&b, WAVE_MS);
    }
    bench_pass(&b, 1000);
    bench_pass(&b, WHEEL_TICK_MS);
    assert_in_range(trims, 1, MOST);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowds_that_come_and_go),
    };
    return cmocka_run_group_tests_name("session_crowd", tests, NULL, NULL);
}
