#include "net/loop.h"
#include "net/loop_engine.h"
#include <stdlib.h>

/* poll(2) is the cheaper one for few descriptors and its price grows with each; between the two marks the
 * engine in use stays, so that a set that hovers does not move to and fro. */
enum { AUTO_TO_EPOLL_AT = 48, AUTO_TO_POLL_AT = 16, FIRST_CAP = 32 };

struct loop *loop_new(enum loop_kind kind)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->kind = kind;
    loop->epoll_fd = loop->handed_fd = -1;
    loop->engine = kind == LOOP_EPOLL ? &loop_engine_epoll : &loop_engine_poll;
    if (!loop->engine->open(loop)) {
        free(loop->events);
        free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop->engine->close(loop);
    free(loop->watches);
    free(loop->events);
    free(loop);
}

const char *loop_engine(const struct loop *loop)
{
    return loop->engine->name;
}

void loop_watch_init(struct loop_watch *watch, int fd, loop_ready_fn *ready)
{
    *watch = (struct loop_watch){.ready = ready, .fd = fd, .slot = -1, .event = -1};
}

static bool grow(struct loop *loop)
{
    size_t cap = loop->cap == 0 ? FIRST_CAP : loop->cap * 2;
    struct loop_watch **watches = realloc(loop->watches, cap * sizeof *watches);
    if (watches == NULL) {
        return false;
    }
    loop->watches = watches;
    loop->cap = cap;
    return true;
}

bool loop_grow_events(struct loop *loop, size_t cap)
{
    if (cap <= loop->event_cap) {
        return true;
    }
    struct loop_event *events = realloc(loop->events, cap * sizeof *events);
    if (events == NULL) {
        return false;
    }
    loop->events = events;
    loop->event_cap = cap;
    return true;
}

/* Moves every watch to the other engine. When that one cannot be had the old one stays: it still works. */
static void switch_engine(struct loop *loop, const struct loop_engine *to)
{
    const struct loop_engine *from = loop->engine;
    if (!to->open(loop)) {
        return;
    }
    for (size_t i = 0; i < loop->count; i++) {
        struct loop_watch *watch = loop->watches[i];
        if (!to->join(loop, watch, watch->told)) {
            to->close(loop);
            return;
        }
    }
    from->close(loop);
    loop->engine = to;
}

static void choose_engine(struct loop *loop)
{
    if (loop->kind != LOOP_AUTO) {
        return;
    }
    if (loop->engine == &loop_engine_poll && loop->count >= AUTO_TO_EPOLL_AT) {
        switch_engine(loop, &loop_engine_epoll);
    } else if (loop->engine == &loop_engine_epoll && loop->count <= AUTO_TO_POLL_AT) {
        switch_engine(loop, &loop_engine_poll);
    }
}

static bool join(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    if (loop->count == loop->cap && !grow(loop)) {
        return false;
    }
    watch->slot = (int32_t)loop->count;
    if (!loop->engine->join(loop, watch, interest)) {
        watch->slot = -1;
        return false;
    }
    watch->interest = watch->told = (uint8_t)interest;
    loop->watches[loop->count++] = watch;
    return true;
}

/* Telling epoll of less costs a call that is often taken back by the next: the engine is left in its belief
 * until it reports in vain. Not so for writing, which is possible nearly always. */
static bool may_stay_told(const struct loop *loop, const struct loop_watch *watch, unsigned interest)
{
    unsigned more = interest & ~(unsigned)watch->told;
    unsigned less = watch->told & ~interest;
    return more == 0 && (less & LOOP_WRITE) == 0 && (less == 0 || loop->engine->costly);
}

static bool change(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    if (!loop->engine->change(loop, watch, interest)) {
        loop_forget(loop, watch);
        return false;
    }
    watch->interest = watch->told = (uint8_t)interest;
    return true;
}

/* What the last wait found of it is not handed out any more. */
static void drop_event(struct loop *loop, struct loop_watch *watch)
{
    if (watch->event >= 0) {
        loop->events[watch->event].watch = NULL;
        watch->event = -1;
    }
}

bool loop_want(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    if (watch->slot < 0) {
        return interest == 0 || join(loop, watch, interest);
    }
    if (may_stay_told(loop, watch, interest)) {
        watch->interest = (uint8_t)interest;
        if (interest == 0) {
            drop_event(loop, watch);
        }
        return true;
    }
    if (interest == 0) {
        loop_forget(loop, watch);
        return true;
    }
    return change(loop, watch, interest);
}

void loop_forget_closing(struct loop *loop, struct loop_watch *watch)
{
    drop_event(loop, watch);
    if (watch->slot < 0) {
        return;
    }
    /* The last one fills the gap. */
    size_t gap = (size_t)watch->slot;
    struct loop_watch *last = loop->watches[--loop->count];
    loop->watches[gap] = last;
    loop->engine->move(loop, loop->count, gap);
    last->slot = (int32_t)gap;
    watch->slot = -1;
    watch->interest = watch->told = 0;
}

void loop_forget(struct loop *loop, struct loop_watch *watch)
{
    if (watch->slot >= 0) {
        loop->engine->leave(loop, watch);
    }
    loop_forget_closing(loop, watch);
}

void loop_forget_handing(struct loop *loop, struct loop_watch *watch)
{
    if (watch->slot >= 0 && loop->engine->hand != NULL) {
        loop->engine->hand(loop, watch);
        loop_forget_closing(loop, watch);
    } else {
        loop_forget(loop, watch);
    }
}

short loop_interest_to_poll(unsigned interest)
{
    int bits = 0;
    bits |= (interest & LOOP_READ) != 0 ? POLLIN : 0;
    bits |= (interest & LOOP_WRITE) != 0 ? POLLOUT : 0;
    bits |= (interest & LOOP_HANGUP) != 0 ? POLLRDHUP : 0;
    return (short)bits;
}

/* The engine believes in more than is wanted. */
static void correct(struct loop *loop, struct loop_watch *watch)
{
    if (watch->interest == 0) {
        loop_forget(loop, watch);
    } else {
        (void)change(loop, watch, watch->interest); /* if not, it is out of the loop: its timer finds it */
    }
}

void loop_add_event(struct loop *loop, struct loop_watch *watch, unsigned poll_bits)
{
    unsigned ready = 0;
    ready |= (poll_bits & POLLIN) != 0 ? LOOP_READ : 0U;
    ready |= (poll_bits & POLLOUT) != 0 ? LOOP_WRITE : 0U;
    ready |= (poll_bits & POLLRDHUP) != 0 ? LOOP_HANGUP : 0U;
    if ((poll_bits & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        ready = LOOP_READ | LOOP_WRITE | LOOP_HANGUP;
    }
    ready &= watch->interest;
    if (ready == 0) {
        correct(loop, watch);
        return;
    }
    watch->event = (int32_t)loop->event_count;
    loop->events[loop->event_count++] = (struct loop_event){watch, ready};
}

void loop_wait(struct loop *loop, int timeout_ms)
{
    choose_engine(loop);
    loop->event_count = 0;
    loop->engine->wait(loop, timeout_ms);
}

void loop_dispatch(struct loop *loop)
{
    for (size_t i = 0; i < loop->event_count; i++) {
        struct loop_event event = loop->events[i];
        if (event.watch == NULL) {
            continue;
        }
        event.watch->event = -1;
        /* Interest may have been taken back by an earlier callback of this turn. */
        unsigned ready = event.ready & event.watch->interest;
        if (ready != 0) {
            event.watch->ready(event.watch, ready);
        }
    }
    loop->event_count = 0;
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    loop_wait(loop, timeout_ms);
    loop_dispatch(loop);
}
