#include "net/wheel.h"
#include "base/clock.h"
#include <limits.h>

static uint64_t tick_of(uint64_t due_ms)
{
    return due_ms / WHEEL_TICK_MS + (due_ms % WHEEL_TICK_MS != 0);
}

static size_t slot_of(uint64_t tick)
{
    return (size_t)(tick % WHEEL_SLOTS);
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&wheel->slots[i]);
    }
    for (size_t i = 0; i < WHEEL_SLOTS / 64; i++) {
        wheel->occupied[i] = 0;
    }
    wheel->done_tick = now_ms / WHEEL_TICK_MS;
}

void wheel_timer_init(struct wheel_timer *timer, wheel_fire_fn *fire)
{
    list_init(&timer->link);
    timer->due_ms = CLOCK_NEVER;
    timer->fire = fire;
}

bool wheel_armed(const struct wheel_timer *timer)
{
    return !list_empty(&timer->link);
}

static void put(struct wheel *wheel, struct wheel_timer *timer)
{
    uint64_t tick = tick_of(timer->due_ms);
    if (tick <= wheel->done_tick) {
        tick = wheel->done_tick + 1;
    }
    size_t slot = slot_of(tick);
    list_push_back(&wheel->slots[slot], &timer->link);
    wheel->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ms)
{
    if (wheel_armed(timer) && timer->due_ms == due_ms) {
        return;
    }
    wheel_cancel(timer);
    if (due_ms != CLOCK_NEVER) {
        timer->due_ms = due_ms;
        put(wheel, timer);
    }
}

void wheel_cancel(struct wheel_timer *timer)
{
    list_remove(&timer->link);
    timer->due_ms = CLOCK_NEVER;
}

static void run_slot(struct wheel *wheel, size_t slot, uint64_t now_ms)
{
    /* The slot's timers move aside first: a callback may put new ones into the same slot, for a later lap. */
    struct list aside;
    list_move(&wheel->slots[slot], &aside);
    wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    while (!list_empty(&aside)) {
        struct wheel_timer *timer = CONTAINER_OF(aside.next, struct wheel_timer, link);
        list_remove(&timer->link);
        if (timer->due_ms <= now_ms) {
            timer->due_ms = CLOCK_NEVER;
            timer->fire(timer, now_ms);
        } else {
            put(wheel, timer);
        }
    }
}

void wheel_run(struct wheel *wheel, uint64_t now_ms)
{
    uint64_t now_tick = now_ms / WHEEL_TICK_MS;
    if (now_tick <= wheel->done_tick) {
        return;
    }
    uint64_t first = wheel->done_tick + 1;
    if (now_tick - wheel->done_tick > WHEEL_SLOTS) {
        first = now_tick - WHEEL_SLOTS + 1; /* one lap sees every slot */
    }
    wheel->done_tick = now_tick;
    for (uint64_t tick = first; tick <= now_tick; tick++) {
        size_t slot = slot_of(tick);
        if ((wheel->occupied[slot / 64] >> (slot % 64) & 1) != 0) {
            run_slot(wheel, slot, now_ms);
        }
    }
}

/* How many ticks behind done_tick the next occupied slot stands; 0: none is. */
static uint64_t ticks_to_next(const struct wheel *wheel)
{
    for (uint64_t ahead = 1; ahead <= WHEEL_SLOTS;) {
        size_t slot = slot_of(wheel->done_tick + ahead);
        uint64_t word = wheel->occupied[slot / 64] >> (slot % 64);
        if (word == 0) {
            ahead += 64 - slot % 64;
        } else {
            return ahead + (uint64_t)__builtin_ctzll(word);
        }
    }
    return 0;
}

int wheel_timeout_ms(const struct wheel *wheel, uint64_t now_ms, int cap_ms)
{
    uint64_t ahead = ticks_to_next(wheel);
    if (ahead == 0) {
        return cap_ms;
    }
    uint64_t due_ms = (wheel->done_tick + ahead) * WHEEL_TICK_MS;
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    if (cap_ms >= 0 && wait_ms > (uint64_t)cap_ms) {
        return cap_ms;
    }
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}
