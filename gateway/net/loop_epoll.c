/* epoll(7), level-triggered: a wait costs the same for any number of idle descriptors. */
#include "net/loop_engine.h"
#include <sys/epoll.h>
#include <unistd.h>

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLRDHUP == EPOLLRDHUP && POLLERR == EPOLLERR &&
                   POLLHUP == EPOLLHUP,
    "the engines share poll(2)'s bits");

enum { BATCH = 256 };

static bool epoll_open(struct loop *loop)
{
    if (!loop_grow_events(loop, BATCH)) {
        return false;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd >= 0;
}

static void epoll_close(struct loop *loop)
{
    close(loop->epoll_fd);
    loop->epoll_fd = loop->handed_fd = -1;
}

static bool tell(struct loop *loop, struct loop_watch *watch, int operation, unsigned interest)
{
    struct epoll_event event = {.events = (unsigned short)loop_interest_to_poll(interest), .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) == 0;
}

/* Nobody took it: epoll must forget it before it could report it. It may be closed by now. */
static void drop_handed(struct loop *loop)
{
    if (loop->handed_fd >= 0) {
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->handed_fd, NULL);
        loop->handed_fd = -1;
    }
}

static void epoll_hand(struct loop *loop, struct loop_watch *watch)
{
    drop_handed(loop);
    loop->handed_fd = watch->fd;
}

static bool epoll_join(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    if (watch->fd == loop->handed_fd) {
        loop->handed_fd = -1;
        /* Not so where it was closed, and the number is another descriptor's. */
        if (tell(loop, watch, EPOLL_CTL_MOD, interest)) {
            return true;
        }
    }
    return tell(loop, watch, EPOLL_CTL_ADD, interest);
}

static bool epoll_change(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    return tell(loop, watch, EPOLL_CTL_MOD, interest);
}

static void epoll_leave(struct loop *loop, struct loop_watch *watch)
{
    (void)tell(loop, watch, EPOLL_CTL_DEL, 0); /* fails only where the kernel knows it no more */
}

static void epoll_move(struct loop *loop, size_t from, size_t to)
{
    (void)loop;
    (void)from;
    (void)to;
}

static void epoll_wait_batch(struct loop *loop, int timeout_ms)
{
    struct epoll_event batch[BATCH];
    drop_handed(loop);
    int ready = epoll_wait(loop->epoll_fd, batch, BATCH, timeout_ms);
    for (int i = 0; i < ready; i++) {
        loop_add_event(loop, batch[i].data.ptr, batch[i].events);
    }
}

const struct loop_engine loop_engine_epoll = {
    .name = "epoll",
    .costly = true,
    .open = epoll_open,
    .close = epoll_close,
    .join = epoll_join,
    .change = epoll_change,
    .leave = epoll_leave,
    .hand = epoll_hand,
    .move = epoll_move,
    .wait = epoll_wait_batch,
};
