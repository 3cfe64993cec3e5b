/* The readiness loop: level-triggered interest in descriptors, as poll(2) means it, by two engines behind one
 * interface. poll(2) is the reference; epoll(7) costs the same for any number of idle descriptors.
 *
 * A watch is embedded in its owner and costs no allocation of its own. Interest is stated whole each time and
 * stating what is already stated does nothing. A watch may be changed, removed and its owner freed from any
 * callback, also while its own event is being handed out. */
#ifndef SLUICE_NET_LOOP_H
#define SLUICE_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4, /* the peer ended or reset: asked for where reading is not wanted (POLLRDHUP) */
};

struct loop;
struct loop_watch;

/* `ready` holds the LOOP_* bits that apply, of those asked for. An error on the descriptor is reported as all
 * that was asked for: the next read or write tells what it is. */
typedef void loop_ready_fn(struct loop_watch *watch, unsigned ready);

struct loop_watch {
    loop_ready_fn *ready;
    int fd;
    int32_t slot;     /* in the loop's table; -1: not in it */
    int32_t event;    /* in the events being handed out; -1: none waits for it */
    uint8_t interest; /* LOOP_* bits */
    uint8_t told;     /* what the engine was told: `interest`, and maybe more */
};

enum loop_kind { LOOP_AUTO, LOOP_POLL, LOOP_EPOLL };

struct loop *loop_new(enum loop_kind kind);
void loop_free(struct loop *loop);

/* The engine in use now: "poll" or "epoll". */
const char *loop_engine(const struct loop *loop);

void loop_watch_init(struct loop_watch *watch, int fd, loop_ready_fn *ready);

/* States what to wait for; 0: nothing. Only more is told to the engine at once; less is told when the engine
 * has reported in vain. False when the kernel or the memory refuses; the watch is then out of the loop. */
bool loop_want(struct loop *loop, struct loop_watch *watch, unsigned interest)
    __attribute__((warn_unused_result));

/* Takes it out. */
void loop_forget(struct loop *loop, struct loop_watch *watch);

/* Takes it out where the descriptor is closed next, which has the kernel forget it as well: saves epoll a
 * call. */
void loop_forget_closing(struct loop *loop, struct loop_watch *watch);

/* Takes it out where another watch is to have the descriptor within this turn: saves epoll a call. */
void loop_forget_handing(struct loop *loop, struct loop_watch *watch);

/* Waits at most `timeout_ms` (-1: for ever) for something to be ready. */
void loop_wait(struct loop *loop, int timeout_ms);

/* Hands out what the wait found, once each. */
void loop_dispatch(struct loop *loop);

/* Both. */
void loop_turn(struct loop *loop, int timeout_ms);

#endif
