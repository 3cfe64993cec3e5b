#include "loop_probe.h"
#include "base/list.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void noted(struct loop_watch *watch, unsigned ready)
{
    struct probe *probe = CONTAINER_OF(watch, struct probe, watch);
    probe->calls++;
    probe->ready = ready;
    if (probe->act != NULL) {
        probe->act(probe); /* which may have freed it */
    }
}

struct probe *loop_probe_new(struct loop *loop, int fd, int peer)
{
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->loop = loop;
    probe->peer = peer;
    loop_watch_init(&probe->watch, fd, noted);
    return probe;
}

struct probe *loop_probe_pair(struct loop *loop)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    return loop_probe_new(loop, ends[0], ends[1]);
}

void loop_probe_free(struct probe *probe)
{
    loop_forget(probe->loop, &probe->watch);
    close(probe->watch.fd);
    if (probe->peer >= 0) {
        close(probe->peer);
    }
    free(probe);
}

void loop_probe_want(struct probe *probe, unsigned interest)
{
    assert_true(loop_want(probe->loop, &probe->watch, interest));
    assert_int_equal(probe->watch.interest, interest);
}

void loop_probe_send(struct probe *probe)
{
    assert_int_equal(send(probe->peer, "x", 1, MSG_NOSIGNAL), 1);
}

void loop_probe_turn(struct probe *probe, unsigned calls, unsigned ready)
{
    probe->calls = 0;
    probe->ready = 0;
    loop_turn(probe->loop, 0);
    assert_int_equal(probe->calls, calls);
    assert_int_equal(probe->ready, ready);
}
