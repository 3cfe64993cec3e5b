/* Between the loop and its two engines; nobody else includes it. */
#ifndef SLUICE_NET_LOOP_ENGINE_H
#define SLUICE_NET_LOOP_ENGINE_H

#include "net/loop.h"
#include <poll.h>

struct loop_event {
    struct loop_watch *watch; /* NULL: forgotten since the wait */
    unsigned ready;
};

struct loop {
    const struct loop_engine *engine;
    enum loop_kind kind;
    struct loop_watch **watches; /* [count], in no order; watch->slot is the index */
    size_t count;
    size_t cap;
    struct loop_event *events; /* [event_cap]: what the last wait found */
    size_t event_count;
    size_t event_cap;
    struct pollfd *pollfds; /* [count], beside watches; of the poll engine alone */
    size_t pollfd_cap;
    int epoll_fd;  /* of the epoll engine alone, else -1 */
    int handed_fd; /* left, and still known to epoll under the watch that left; -1: none */
};

/* An engine is told of a watch that joins (at slot `count`, the next), changes or leaves, or that moves into
 * the slot of one that is gone; and fills loop->events. */
struct loop_engine {
    const char *name;
    bool costly; /* telling it something is a system call */
    bool (*open)(struct loop *loop);
    void (*close)(struct loop *loop);
    bool (*join)(struct loop *loop, struct loop_watch *watch, unsigned interest);
    bool (*change)(struct loop *loop, struct loop_watch *watch, unsigned interest);
    void (*leave)(struct loop *loop, struct loop_watch *watch);
    /* As leave, where the descriptor joins again in this turn. NULL: leaving costs nothing. */
    void (*hand)(struct loop *loop, struct loop_watch *watch);
    void (*move)(struct loop *loop, size_t from, size_t to);
    void (*wait)(struct loop *loop, int timeout_ms);
};

extern const struct loop_engine loop_engine_poll;
extern const struct loop_engine loop_engine_epoll;

/* Both engines' bits have poll(2)'s values on Linux (loop_epoll.c asserts it). */
short loop_interest_to_poll(unsigned interest);
bool loop_grow_events(struct loop *loop, size_t cap);
void loop_add_event(struct loop *loop, struct loop_watch *watch, unsigned poll_bits);

#endif
