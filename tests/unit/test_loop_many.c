/* net/loop with many watches, and the loop that moves between its engines. */
#include "loop_probe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 300 };

static enum loop_kind kinds[] = {LOOP_POLL, LOOP_EPOLL, LOOP_AUTO};

static struct loop *loop_of(void **state)
{
    struct loop *loop = loop_new(*(enum loop_kind *)*state);
    assert_non_null(loop);
    return loop;
}

static struct probe *many[MANY];

static struct probe *probe_event(struct loop *loop)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    assert_true(fd >= 0);
    return loop_probe_new(loop, fd, -1);
}

static void signal_event(struct probe *probe)
{
    uint64_t one = 1;
    assert_int_equal(write(probe->watch.fd, &one, sizeof one), sizeof one);
}

static void read_event(struct probe *probe)
{
    uint64_t sum;
    assert_int_equal(read(probe->watch.fd, &sum, sizeof sum), sizeof sum);
}

/* Each of those from..to alone, and then all of them together. */
static void check_each_works(struct loop *loop, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        many[i]->calls = 0;
        many[i]->act = read_event;
    }
    for (size_t i = from; i < to; i++) {
        signal_event(many[i]);
        loop_turn(loop, 0);
        assert_int_equal(many[i]->calls, 1);
    }
    for (size_t i = from; i < to; i++) {
        signal_event(many[i]);
    }
    for (int turn = 0; turn < 3; turn++) { /* epoll hands out a part of them at a time */
        loop_turn(loop, 0);
    }
    for (size_t i = from; i < to; i++) {
        assert_int_equal(many[i]->calls, 2);
    }
}

static void add_many(struct loop *loop, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        many[i] = probe_event(loop);
        loop_probe_want(many[i], LOOP_READ);
    }
}

static void free_many(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        loop_probe_free(many[i]);
    }
}

static void more_than_fit_in_a_batch(void **state)
{
    struct loop *loop = loop_of(state);
    add_many(loop, 0, MANY);
    check_each_works(loop, 0, MANY);
    /* Every third leaves: the last one of the table fills each gap. */
    for (size_t i = 0; i < MANY; i += 3) {
        loop_probe_free(many[i]);
        add_many(loop, i, i + 1);
        loop_probe_want(many[i], 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        signal_event(many[i]);
        many[i]->calls = 0;
    }
    for (int turn = 0; turn < 3; turn++) {
        loop_turn(loop, 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i]->calls, i % 3 != 0);
    }
    free_many(0, MANY);
    loop_free(loop);
}

static void join_many(struct probe *probe)
{
    read_event(probe);
    if (many[2] == NULL) {
        add_many(probe->loop, 2, MANY);
    }
}

/* The tables grow, and so move, while events are handed out. */
static void a_callback_adds_many(void **state)
{
    struct loop *loop = loop_of(state);
    memset(many, 0, sizeof many);
    add_many(loop, 0, 2);
    many[0]->act = many[1]->act = join_many;
    signal_event(many[0]);
    signal_event(many[1]);
    loop_turn(loop, 0);
    assert_int_equal(many[0]->calls, 1);
    assert_int_equal(many[1]->calls, 1);
    check_each_works(loop, 0, MANY);
    free_many(0, MANY);
    loop_free(loop);
}

static void auto_moves_at_its_marks(void **state)
{
    (void)state;
    enum { TO_EPOLL = 48, TO_POLL = 16 };
    struct loop *loop = loop_new(LOOP_AUTO);
    assert_non_null(loop);
    for (int round = 0; round < 2; round++) {
        assert_string_equal(loop_engine(loop), "poll");
        add_many(loop, 0, TO_EPOLL - 1);
        check_each_works(loop, 0, TO_EPOLL - 1);
        assert_string_equal(loop_engine(loop), "poll");
        add_many(loop, TO_EPOLL - 1, TO_EPOLL);
        check_each_works(loop, 0, TO_EPOLL);
        assert_string_equal(loop_engine(loop), "epoll");
        free_many(TO_POLL + 1, TO_EPOLL);
        check_each_works(loop, 0, TO_POLL + 1);
        assert_string_equal(loop_engine(loop), "epoll");
        free_many(TO_POLL, TO_POLL + 1);
        check_each_works(loop, 0, TO_POLL);
        assert_string_equal(loop_engine(loop), "poll");
        free_many(0, TO_POLL);
        loop_turn(loop, 0);
    }
    loop_free(loop);
}

/* What each watch waits for moves with it. */
static void a_move_keeps_every_interest(void **state)
{
    (void)state;
    struct loop *loop = loop_new(LOOP_AUTO);
    struct probe *reads = loop_probe_pair(loop);
    struct probe *writes = loop_probe_pair(loop);
    loop_probe_want(reads, LOOP_READ | LOOP_HANGUP);
    loop_probe_want(writes, LOOP_WRITE);
    for (int round = 0; round < 4; round++) {
        bool to_epoll = round % 2 == 0;
        if (to_epoll) {
            add_many(loop, 0, 60);
        } else {
            free_many(0, 60);
        }
        reads->calls = writes->calls = 0;
        loop_turn(loop, 0);
        assert_string_equal(loop_engine(loop), to_epoll ? "epoll" : "poll");
        assert_int_equal(reads->calls, round == 0 ? 0 : 1);
        assert_int_equal(writes->calls, 1);
        assert_int_equal(writes->ready, LOOP_WRITE);
        if (round == 0) {
            loop_probe_send(reads);
            loop_probe_turn(reads, 1, LOOP_READ);
            assert_int_equal(shutdown(reads->peer, SHUT_WR), 0);
        }
        loop_probe_turn(reads, 1, LOOP_READ | LOOP_HANGUP);
    }
    loop_probe_free(reads);
    loop_probe_free(writes);
    loop_free(loop);
}

static void the_engine_that_was_asked_for(void **state)
{
    (void)state;
    static const char *const names[] = {"poll", "epoll", "poll"};
    for (size_t i = 0; i < 3; i++) {
        struct loop *loop = loop_new(kinds[i]);
        assert_non_null(loop);
        assert_string_equal(loop_engine(loop), names[i]);
        if (kinds[i] != LOOP_AUTO) { /* and it stays */
            add_many(loop, 0, 100);
            loop_turn(loop, 0);
            free_many(3, 100);
            loop_turn(loop, 0);
            free_many(0, 3);
            assert_string_equal(loop_engine(loop), names[i]);
        }
        loop_free(loop);
    }
}

#define ON_EACH(test)                                                                                        \
    {#test " (poll)", test, NULL, NULL, &kinds[0]}, {#test " (epoll)", test, NULL, NULL, &kinds[1]},         \
    {                                                                                                        \
#test " (auto)", test, NULL, NULL, &kinds[2]                                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH(more_than_fit_in_a_batch),
        ON_EACH(a_callback_adds_many),
        cmocka_unit_test(auto_moves_at_its_marks),
        cmocka_unit_test(a_move_keeps_every_interest),
        cmocka_unit_test(the_engine_that_was_asked_for),
    };
    return cmocka_run_group_tests_name("loop_many", tests, NULL, NULL);
}
