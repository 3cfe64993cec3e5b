/* Timers on a hashed wheel: arming, moving and cancelling cost O(1), whatever their number.
 *
 * Resolution is WHEEL_TICK_MS; a timer never fires early. It fires once and is then not armed. */
#ifndef SLUICE_NET_WHEEL_H
#define SLUICE_NET_WHEEL_H

#include "base/list.h"
#include <stdint.h>

enum { WHEEL_SLOTS = 1024, WHEEL_TICK_MS = 8 };

struct wheel_timer;
typedef void wheel_fire_fn(struct wheel_timer *timer, uint64_t now_ms);

struct wheel_timer {
    struct list link; /* in a slot; alone when not armed */
    uint64_t due_ms;
    wheel_fire_fn *fire;
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64]; /* a bit for each slot that may hold a timer */
    uint64_t done_tick;                  /* every tick up to and with this one has been run */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
void wheel_timer_init(struct wheel_timer *timer, wheel_fire_fn *fire);

/* Arms it for `due_ms` on the monotonic clock, or moves it there. CLOCK_NEVER cancels. A timer that is
 * already armed earlier than `due_ms` may be left to its owner to re-arm when it fires. */
void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ms);
void wheel_cancel(struct wheel_timer *timer);
bool wheel_armed(const struct wheel_timer *timer);

/* Fires all that is due; a callback may arm, move and cancel any timer. */
void wheel_run(struct wheel *wheel, uint64_t now_ms);

/* For poll(2): how long until something may be due, at most `cap_ms`; -1 when nothing is armed and cap_ms <
 * 0. */
int wheel_timeout_ms(const struct wheel *wheel, uint64_t now_ms, int cap_ms);

#endif
