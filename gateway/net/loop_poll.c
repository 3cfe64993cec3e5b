/* poll(2): the reference. Needs no kernel state; costs a look at every descriptor at each wait. */
#include "net/loop_engine.h"
#include <stdlib.h>

static bool poll_open(struct loop *loop)
{
    (void)loop;
    return true;
}

static void poll_close(struct loop *loop)
{
    free(loop->pollfds);
    loop->pollfds = NULL;
    loop->pollfd_cap = 0;
}

static bool poll_change(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    loop->pollfds[watch->slot] = (struct pollfd){.fd = watch->fd, .events = loop_interest_to_poll(interest)};
    return true;
}

static bool poll_join(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    if (loop->pollfd_cap < loop->cap) {
        struct pollfd *pollfds = realloc(loop->pollfds, loop->cap * sizeof *pollfds);
        if (pollfds == NULL || !loop_grow_events(loop, loop->cap)) {
            loop->pollfds = pollfds != NULL ? pollfds : loop->pollfds;
            return false;
        }
        loop->pollfds = pollfds;
        loop->pollfd_cap = loop->cap;
    }
    return poll_change(loop, watch, interest);
}

static void poll_leave(struct loop *loop, struct loop_watch *watch)
{
    (void)loop;
    (void)watch;
}

static void poll_move(struct loop *loop, size_t from, size_t to)
{
    loop->pollfds[to] = loop->pollfds[from];
}

static void poll_wait(struct loop *loop, int timeout_ms)
{
    int ready = poll(loop->pollfds, loop->count, timeout_ms);
    /* From the back: one that is forgotten here is replaced by one that was looked at. */
    for (size_t i = loop->count; i-- > 0 && ready > 0;) {
        if (loop->pollfds[i].revents != 0) {
            loop_add_event(loop, loop->watches[i], (unsigned short)loop->pollfds[i].revents);
            ready--;
        }
    }
}

const struct loop_engine loop_engine_poll = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .join = poll_join,
    .change = poll_change,
    .leave = poll_leave,
    .move = poll_move,
    .wait = poll_wait,
};
