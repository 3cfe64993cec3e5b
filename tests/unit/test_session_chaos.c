/* Sessions under what peers do in any order: stalls, ends, resets, pings, lapses of time, with limits or not.
 * Whatever comes, bytes stay in order, nothing follows a Close, no session waits for nothing, and each ends
 * once. Every run is told by its seed. */
#include "relay/roster.h"
#include "script.h"
#include <stdlib.h>

enum { RUNS = 1000, STEPS = 40, STREAM = 1 << 16 };

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 12) % below;
}

struct run {
    struct bench b;
    struct script_pair p;
    size_t up_said; /* payload, in frames whole or not */
    size_t down_said;
    bool open_message;
};

static uint8_t stream_byte(size_t i)
{
    return (uint8_t)(i * 131 + i / 253);
}

static void say_data(struct run *run)
{
    uint8_t bytes[700];
    size_t n = chance(3) == 0 ? chance(sizeof bytes) : chance(9);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = stream_byte(run->up_said + i);
    }
    bool fin = chance(2) == 0;
    say_frame(&run->p.client, fin, run->open_message ? WS_CONTINUATION : WS_BINARY, bytes, n);
    run->open_message = !fin;
    run->up_said += n;
}

static void target_says(struct run *run)
{
    size_t n = chance(3) == 0 ? chance(6000) : chance(9);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = stream_byte(run->down_said++);
        say(&run->p.target, &byte, 1);
    }
}

static size_t some_room(void)
{
    return chance(4) == 0 ? SCRIPT_ALL : chance(3) == 0 ? 0 : chance(300);
}

static void end_side(struct script_side *side)
{
    switch (chance(4)) {
    case 0:
        side->end = SCRIPT_RESET;
        break;
    case 1:
        side->deaf = true;
        break;
    default:
        side->end = SCRIPT_EOF;
    }
}

static void act(struct run *run)
{
    static const uint64_t lapses[] = {8, 1000, 5000, 10000, 20000, 25000};
    struct script_pair *p = &run->p;
    bool client_may = p->client.end == SCRIPT_STAYS;
    bool target_may = p->target.end == SCRIPT_STAYS;
    switch (chance(client_may || target_may ? 16 : 4)) {
    case 0:
        p->client.room = some_room();
        break;
    case 1:
        p->target.room = some_room();
        break;
    case 2:
        bench_pass(&run->b, lapses[chance(6)]);
        break;
    case 3:
        if (chance(3) == 0) {
            end_side(chance(2) == 0 ? &p->client : &p->target);
        }
        break;
    case 4:
        if (client_may) {
            say_frame(&p->client, true, WS_PING, "ping", chance(5));
        }
        break;
    case 5:
        if (client_may && chance(4) == 0) {
            say_close(&p->client, 1000, "");
        }
        break;
    case 6:
        if (client_may && chance(10) == 0) {
            say_text(&p->client, "\x7F\x7F");
        }
        break;
    case 7:
        if (chance(12) == 0) {
            (void)relay_kill(&run->b.relay, &(struct roster_filter){0});
        } else if (chance(10) == 0) {
            relay_drain(&run->b.relay);
        }
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if (client_may) {
            say_data(run);
        }
        break;
    default:
        if (target_may) {
            target_says(run);
        }
    }
}

static void assert_in_order(const struct buf *heard, size_t said)
{
    assert_true(buf_len(heard) <= said);
    for (size_t i = 0; i < buf_len(heard); i++) {
        assert_int_equal(stream_byte(i), buf_data(heard)[i]);
    }
}

static void check(struct run *run)
{
    struct hearing h;
    hearing_of(&run->p.client, &h);
    assert_false(h.behind_close);
    assert_in_order(&h.payload, run->down_said);
    assert_in_order(&run->p.target.heard, run->up_said);
    assert_in_range(run->p.client.most_kept, 0, run->b.streams ? 65536 : 4096);
    assert_in_range(
        run->p.target.most_kept, 0, run->b.streams ? 65536 : 16384); /* early frames come by limits.request */
    hearing_fini(&h);
}

/* Nobody holds a place any more: neither at the target nor among its client's. */
static void assert_free(struct run *run)
{
    const struct target_state *target = &run->b.relay.targets[0].states[0];
    assert_int_equal(0, target->sessions + target->dialing);
    assert_true(run->b.census->client_enter(run->b.census, &run->b.peer.addr, 1));
    run->b.census->client_leave(run->b.census, &run->b.peer.addr);
}

/* Both take everything and end: within `close` all is over, unless the rest has to come at its rate. */
static void finish(struct run *run)
{
    struct script_pair *p = &run->p;
    run->b.dial_holds = false;
    p->client.room = p->target.room = SCRIPT_ALL;
    bench_run(&run->b);
    p->client.end = p->client.end == SCRIPT_STAYS ? SCRIPT_EOF : p->client.end;
    p->target.end = p->target.end == SCRIPT_STAYS ? SCRIPT_EOF : p->target.end;
    bench_run(&run->b);
    for (int i = 0; run->b.rules->routes[0].limits.rate_up_bytes != SIZE_OFF && i < 600; i++) {
        bench_pass(&run->b, 100);
    }
    assert_int_equal(0, run->b.relay.connections);
    assert_free(run);
    check(run);
    assert_in_range(
        bench_log_count(&run->b, "session_end") + bench_log_count(&run->b, "request_refused"), 0, 1);
    if (run->b.dials > 0) {
        assert_int_equal(
            1, bench_log_count(&run->b, "session_end") + bench_log_count(&run->b, "request_refused"));
    }
}

static void run_one(uint32_t number)
{
    static const char *const routes[] = {"", "    on_client_abort: reset\n", "    on_unreachable: http\n",
        "    timeouts: {idle: 30s, session: 1m, close: 3s}\n", "    connect_retry: true\n"};
    static const char *const rates[] = {
        "", "", "", ", rate: {up: 1KiB, down: 1KiB}", ", rate: {up: 1500B, down: 20KiB}"};
    struct run run = {0};
    char route[256];
    seed = number * 2654435761U;
    bool streams = number % 2 == 0;
    (void)snprintf(route, sizeof route, "    limits: {buffer: %s%s}\n%s", streams ? "64KiB" : "4KiB",
        rates[number % 5], routes[chance(5)]);
    bench_init(&run.b, route, "limits: {sessions_per_client: 1}");
    run.b.target_first = chance(2) == 0;
    run.b.dial_holds = chance(4) == 0;
    run.b.streams = streams;
    pair_init(&run.b, &run.p, &script_habits[chance((uint32_t)script_habit_count)],
        &script_habits[chance((uint32_t)script_habit_count)]);
    run.p.client.polite = chance(2) == 0;
    run.p.target.polite = chance(2) == 0;
    run.p.client.unable = number % 16 == 0;
    run.p.target.unable = number % 16 == 8;
    say_upgrade(&run.p.client, "/", "");
    bench_accept(&run.b, &run.p);
    for (int i = 0; i < STEPS; i++) {
        act(&run);
        if (chance(3) != 0) {
            bench_run(&run.b);
        } else {
            (void)bench_turn(&run.b);
        }
        if (run.b.dial != NULL && chance(4) == 0) {
            run.b.dial_holds = false;
        }
    }
    finish(&run);
    pair_fini(&run.p);
    bench_fini(&run.b);
}

static void test_chaos(void **state)
{
    (void)state;
    const char *one = getenv("CHAOS_SEED");
    if (one != NULL) {
        run_one((uint32_t)strtoul(one, NULL, 10));
        return;
    }
    for (uint32_t number = 1; number <= RUNS; number++) {
        if (getenv("CHAOS_VERBOSE") != NULL) {
            print_message("seed %u\n", number);
        }
        run_one(number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};
    return cmocka_run_group_tests_name("session_chaos", tests, NULL, NULL);
}
