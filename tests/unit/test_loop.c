/* net/loop: the same behaviour from both engines: interest, ends and errors, and changes from inside
 * callbacks. */
#include "loop_probe.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static enum loop_kind kinds[] = {LOOP_POLL, LOOP_EPOLL, LOOP_AUTO};

static struct loop *loop_of(void **state)
{
    struct loop *loop = loop_new(*(enum loop_kind *)*state);
    assert_non_null(loop);
    return loop;
}

static void a_turn_with_nothing(void **state)
{
    struct loop *loop = loop_of(state);
    loop_turn(loop, 0);
    loop_dispatch(loop);
    struct probe *probe = loop_probe_pair(loop);
    loop_probe_want(probe, LOOP_READ);
    loop_probe_turn(probe, 0, 0);
    loop_probe_free(probe);
    loop_turn(loop, 0);
    loop_free(loop);
    loop_free(NULL);
}

static void readable_as_long_as_bytes_stand(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    char byte;
    loop_probe_want(probe, LOOP_READ);
    loop_probe_send(probe);
    loop_probe_send(probe);
    for (int i = 0; i < 2; i++) {
        loop_turn(loop, -1); /* returns, though it may wait for ever */
        loop_probe_turn(probe, 1, LOOP_READ);
        assert_int_equal(read(probe->watch.fd, &byte, 1), 1);
    }
    loop_probe_turn(probe, 0, 0);
    loop_probe_free(probe);
    loop_free(loop);
}

static void writable_as_long_as_there_is_room(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    static char block[4096];
    loop_probe_want(probe, LOOP_WRITE);
    loop_probe_turn(probe, 1, LOOP_WRITE);
    while (send(probe->watch.fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
    }
    loop_probe_turn(probe, 0, 0);
    while (recv(probe->peer, block, sizeof block, 0) > 0) {
    }
    loop_probe_turn(probe, 1, LOOP_WRITE);
    loop_probe_free(probe);
    loop_free(loop);
}

static void only_what_is_asked_for(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    loop_probe_send(probe); /* both readable and writable from here on */
    loop_probe_want(probe, LOOP_READ);
    loop_probe_turn(probe, 1, LOOP_READ);
    loop_probe_want(probe, LOOP_WRITE);
    loop_probe_turn(probe, 1, LOOP_WRITE);
    loop_probe_want(probe, LOOP_READ | LOOP_WRITE);
    loop_probe_turn(probe, 1, LOOP_READ | LOOP_WRITE);
    loop_probe_want(probe, LOOP_HANGUP);
    loop_probe_turn(probe, 0, 0);
    loop_probe_want(probe, 0);
    loop_probe_turn(probe, 0, 0);
    loop_probe_want(probe, 0);
    loop_probe_want(probe, LOOP_READ);
    loop_probe_want(probe, LOOP_READ);
    loop_probe_turn(probe, 1, LOOP_READ);
    loop_probe_free(probe);
    loop_free(loop);
}

static void the_peer_ends_its_direction(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    assert_int_equal(shutdown(probe->peer, SHUT_WR), 0);
    loop_probe_want(probe, LOOP_HANGUP);
    loop_probe_turn(probe, 1, LOOP_HANGUP);
    loop_probe_want(probe, LOOP_READ);
    loop_probe_turn(probe, 1, LOOP_READ);
    loop_probe_want(probe, LOOP_WRITE);
    loop_probe_turn(probe, 1, LOOP_WRITE); /* which still goes */
    loop_probe_want(probe, LOOP_READ | LOOP_HANGUP);
    loop_probe_turn(probe, 1, LOOP_READ | LOOP_HANGUP);
    loop_probe_free(probe);
    loop_free(loop);
}

/* What is told of `interest` once the connection is of no use: all of it, so that the owner tries and is
 * told. */
static void check_all_of_every_interest(struct probe *probe)
{
    for (unsigned interest = 1; interest < 8; interest++) {
        loop_probe_want(probe, interest);
        loop_probe_turn(probe, 1, interest);
    }
}

static void the_peer_is_gone(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    close(probe->peer);
    probe->peer = -1;
    check_all_of_every_interest(probe);
    loop_probe_free(probe);
    loop_free(loop);
}

/* A pipe tells an end by POLLHUP alone, and an error by POLLERR alone when it is full. */
static void a_pipe_whose_other_end_is_gone(void **state)
{
    struct loop *loop = loop_of(state);
    int ends[2];
    static char block[4096];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    close(ends[1]);
    struct probe *probe = loop_probe_new(loop, ends[0], -1);
    check_all_of_every_interest(probe);
    loop_probe_free(probe);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof block) > 0) {
    }
    close(ends[0]);
    probe = loop_probe_new(loop, ends[1], -1);
    check_all_of_every_interest(probe);
    loop_probe_free(probe);
    loop_free(loop);
}

static void the_peer_resets(void **state)
{
    struct loop *loop = loop_of(state);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    close(peer);
    close(listener);
    struct probe *probe = loop_probe_new(loop, fd, -1);
    check_all_of_every_interest(probe);
    loop_probe_free(probe);
    loop_free(loop);
}

static void a_descriptor_that_is_none(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    int fd = probe->watch.fd;
    close(fd);
    bool wanted = loop_want(loop, &probe->watch, LOOP_READ);
    assert_int_equal(wanted, strcmp(loop_engine(loop), "poll") == 0); /* which learns of it by waiting */
    if (wanted) {
        loop_probe_turn(probe, 1, LOOP_READ);
    } else {
        assert_int_equal(probe->watch.slot, -1);
        loop_probe_turn(probe, 0, 0);
    }
    loop_forget(loop, &probe->watch);
    close(probe->peer);
    free(probe);
    loop_turn(loop, 0);
    loop_free(loop);
}

/* ---- Changes from inside callbacks. */

static void free_self(struct probe *probe)
{
    loop_probe_free(probe);
}

static void a_callback_frees_its_own_watch(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *other = loop_probe_pair(loop);
    struct probe *probe = loop_probe_pair(loop);
    probe->act = free_self;
    loop_probe_send(probe);
    loop_probe_send(other);
    loop_probe_want(probe, LOOP_READ);
    loop_probe_want(other, LOOP_READ);
    loop_probe_turn(other, 1, LOOP_READ);
    loop_probe_turn(other, 1, LOOP_READ);
    loop_probe_free(other);
    loop_free(loop);
}

static void free_other(struct probe *probe)
{
    if (probe->other != NULL) {
        probe->other->other = NULL;
        loop_probe_free(probe->other);
        probe->other = NULL;
    }
}

/* Two that are ready in one batch: whichever comes first frees the other, whose event must be lost with it.
 */
static void a_callback_frees_a_watch_whose_event_is_pending(void **state)
{
    struct loop *loop = loop_of(state);
    for (int round = 0; round < 2; round++) {
        struct probe *a = loop_probe_pair(loop);
        struct probe *b = loop_probe_pair(loop);
        struct probe *first = round == 0 ? a : b;
        first->act = free_other;
        first->other = first == a ? b : a;
        first->other->other = first;
        first->other->act = free_other;
        loop_probe_send(a);
        loop_probe_send(b);
        loop_probe_want(a, LOOP_READ);
        loop_probe_want(b, LOOP_READ);
        /* Who is first is the engine's choice: the table tells afterwards who is left. */
        loop_wait(loop, 0);
        bool a_first = a->watch.event < b->watch.event;
        struct probe *left = a_first ? a : b;
        loop_dispatch(loop);
        assert_int_equal(left->calls, 1);
        loop_probe_turn(left, 1, LOOP_READ);
        loop_probe_free(left);
    }
    loop_free(loop);
}

static void narrow_other(struct probe *probe)
{
    loop_probe_want(probe->other, LOOP_WRITE);
    probe->other->act = NULL;
    probe->act = NULL;
}

static void interest_taken_back_is_not_reported(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *a = loop_probe_pair(loop);
    struct probe *b = loop_probe_pair(loop);
    a->other = b;
    b->other = a;
    a->act = b->act = narrow_other;
    loop_probe_send(a);
    loop_probe_send(b);
    loop_probe_want(a, LOOP_READ | LOOP_WRITE);
    loop_probe_want(b, LOOP_READ | LOOP_WRITE);
    loop_turn(loop, 0);
    assert_int_equal(a->calls + b->calls, 2);
    assert_int_equal(a->ready + b->ready, LOOP_READ + LOOP_WRITE + LOOP_WRITE); /* the first had both */
    loop_probe_free(a);
    loop_probe_free(b);
    loop_free(loop);
}

static void leave_and_join_other(struct probe *probe)
{
    loop_probe_want(probe->other, 0);
    loop_probe_want(probe->other, LOOP_READ);
    probe->other->act = NULL;
    probe->act = NULL;
}

static void a_watch_that_joins_again_waits_for_the_next_turn(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *a = loop_probe_pair(loop);
    struct probe *b = loop_probe_pair(loop);
    a->other = b;
    b->other = a;
    a->act = b->act = leave_and_join_other;
    loop_probe_send(a);
    loop_probe_send(b);
    loop_probe_want(a, LOOP_READ);
    loop_probe_want(b, LOOP_READ);
    loop_turn(loop, 0);
    assert_int_equal(a->calls + b->calls, 1);
    loop_turn(loop, 0);
    assert_int_equal(a->calls + b->calls, 3);
    loop_probe_free(a);
    loop_probe_free(b);
    loop_free(loop);
}

static void forgotten_between_wait_and_dispatch(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *probe = loop_probe_pair(loop);
    loop_probe_send(probe);
    loop_probe_want(probe, LOOP_READ);
    loop_wait(loop, -1);
    loop_probe_free(probe);
    loop_dispatch(loop);
    loop_free(loop);
}

/* The descriptor goes from one watch to another, or to none, or is closed and its number another's. */
static void handed_from_watch_to_watch(void **state)
{
    struct loop *loop = loop_of(state);
    struct probe *from = loop_probe_pair(loop);
    struct probe *to = loop_probe_new(loop, from->watch.fd, -1);
    loop_probe_want(from, LOOP_WRITE | LOOP_HANGUP);
    loop_probe_turn(from, 1, LOOP_WRITE);
    loop_forget_handing(loop, &from->watch);
    loop_probe_want(to, LOOP_READ);
    loop_probe_turn(to, 0, 0);
    loop_probe_send(from);
    loop_probe_turn(to, 1, LOOP_READ);
    assert_int_equal(1, from->calls);
    loop_forget_handing(loop, &to->watch); /* and nobody takes it */
    loop_probe_turn(to, 0, 0);
    loop_probe_want(to, LOOP_READ); /* too late to be handed, and as good */
    loop_probe_turn(to, 1, LOOP_READ);
    loop_forget_handing(loop, &to->watch);
    from->watch.fd = dup(from->watch.fd); /* each closes its own */
    loop_probe_free(to);                  /* while it is handed */
    loop_probe_free(from);
    struct probe *next = loop_probe_pair(loop);
    loop_probe_want(next, LOOP_WRITE);
    loop_probe_turn(next, 1, LOOP_WRITE);
    loop_probe_free(next);
    loop_free(loop);
}

#define ON_EACH(test)                                                                                        \
    {#test " (poll)", test, NULL, NULL, &kinds[0]}, {#test " (epoll)", test, NULL, NULL, &kinds[1]},         \
    {                                                                                                        \
#test " (auto)", test, NULL, NULL, &kinds[2]                                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH(a_turn_with_nothing),
        ON_EACH(readable_as_long_as_bytes_stand),
        ON_EACH(writable_as_long_as_there_is_room),
        ON_EACH(only_what_is_asked_for),
        ON_EACH(the_peer_ends_its_direction),
        ON_EACH(the_peer_is_gone),
        ON_EACH(a_pipe_whose_other_end_is_gone),
        ON_EACH(the_peer_resets),
        ON_EACH(a_descriptor_that_is_none),
        ON_EACH(a_callback_frees_its_own_watch),
        ON_EACH(a_callback_frees_a_watch_whose_event_is_pending),
        ON_EACH(interest_taken_back_is_not_reported),
        ON_EACH(a_watch_that_joins_again_waits_for_the_next_turn),
        ON_EACH(forgotten_between_wait_and_dispatch),
        ON_EACH(handed_from_watch_to_watch),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
