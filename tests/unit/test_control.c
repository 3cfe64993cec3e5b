/* serve/control: records with descriptors between processes. */
#include "serve/control.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void a_message_arrives_whole_with_its_descriptor(void **state)
{
    (void)state;
    int ends[2], pipe_ends[2], fd = -1;
    struct control_message said = {.kind = CONTROL_KILL, .slot = 7, .request = 99, .count = 3};
    struct control_message heard = {0};
    memcpy(said.filter.route, "desk", 5);
    assert_true(control_pair(ends));
    assert_int_equal(0, pipe(pipe_ends));
    assert_int_equal(CONTROL_NOTHING, control_receive(ends[1], &heard, &fd));
    assert_true(control_send(ends[0], &said, pipe_ends[1]));
    assert_true(control_send(ends[0], &said, -1));

    assert_int_equal(CONTROL_GOT, control_receive(ends[1], &heard, &fd));
    assert_int_equal(CONTROL_KILL, heard.kind);
    assert_int_equal(7, heard.slot);
    assert_int_equal(99, heard.request);
    assert_string_equal("desk", heard.filter.route);
    assert_true(fd >= 0 && fd != pipe_ends[1]);
    assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
    assert_int_equal(1, write(fd, "x", 1));
    char byte;
    assert_int_equal(1, read(pipe_ends[0], &byte, 1));
    close(fd);

    assert_int_equal(CONTROL_GOT, control_receive(ends[1], &heard, &fd));
    assert_int_equal(-1, fd);
    close(ends[0]);
    assert_int_equal(CONTROL_CLOSED, control_receive(ends[1], &heard, &fd));
    close(ends[1]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void a_reader_that_is_stuck_is_an_error(void **state)
{
    (void)state;
    int ends[2];
    struct control_message said = {.kind = CONTROL_LIST};
    unsigned sent = 0;
    assert_true(control_pair(ends));
    while (control_send(ends[0], &said, -1)) {
        assert_true(++sent < 100000);
    }
    assert_true(sent > 10);
    close(ends[1]);
    assert_false(control_send(ends[0], &said, -1)); /* and no SIGPIPE */
    close(ends[0]);
}

/* A process that was taken over sends what it likes: nothing of it stays open here. */
static void descriptors_too_many_are_closed(void **state)
{
    (void)state;
    int ends[2], pipe_ends[2], fd = -1;
    struct control_message said = {.kind = CONTROL_READY}, heard;
    for (size_t count = 2; count <= 5; count++) {
        union {
            char bytes[CMSG_SPACE(5 * sizeof(int))];
            struct cmsghdr align;
        } room = {0};
        assert_true(control_pair(ends));
        assert_int_equal(0, pipe(pipe_ends));
        struct iovec part = {.iov_base = &said, .iov_len = sizeof said};
        struct msghdr header = {.msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = room.bytes,
            .msg_controllen = CMSG_SPACE(count * sizeof(int))};
        struct cmsghdr *beside = CMSG_FIRSTHDR(&header);
        beside->cmsg_level = SOL_SOCKET;
        beside->cmsg_type = SCM_RIGHTS;
        beside->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; i++) {
            memcpy(CMSG_DATA(beside) + i * sizeof(int), &pipe_ends[1], sizeof(int));
        }
        assert_int_equal(sizeof said, sendmsg(ends[0], &header, 0));
        close(pipe_ends[1]);
        assert_int_equal(CONTROL_GOT, control_receive(ends[1], &heard, &fd));
        assert_true(fd >= 0);
        close(fd);
        char byte;
        assert_int_equal(0, fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK));
        assert_int_equal(0, read(pipe_ends[0], &byte, 1)); /* its end: nobody can write any more */
        close(pipe_ends[0]);
        close(ends[0]);
        close(ends[1]);
    }
}

static void a_record_of_another_size_is_an_end(void **state)
{
    (void)state;
    int ends[2], fd;
    struct control_message heard;
    assert_true(control_pair(ends));
    assert_int_equal(3, send(ends[0], "abc", 3, 0));
    assert_int_equal(CONTROL_CLOSED, control_receive(ends[1], &heard, &fd));
    assert_int_equal(-1, fd);
    close(ends[0]);
    close(ends[1]);
}

static void texts_end(void **state)
{
    (void)state;
    int ends[2], fd;
    struct control_message said, heard;
    memset(&said, 'a', sizeof said);
    said.kind = CONTROL_LIST;
    assert_true(control_pair(ends));
    assert_true(control_send(ends[0], &said, -1));
    assert_int_equal(CONTROL_GOT, control_receive(ends[1], &heard, &fd));
    assert_int_equal(CONTROL_NAME_MAX - 1, strlen(heard.name));
    assert_int_equal(CONTROL_ROUTE_MAX - 1, strlen(heard.filter.route));
    assert_int_equal(CONTROL_CLIENT_MAX - 1, strlen(heard.filter.client));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_whole_with_its_descriptor),
        cmocka_unit_test(a_reader_that_is_stuck_is_an_error),
        cmocka_unit_test(descriptors_too_many_are_closed),
        cmocka_unit_test(a_record_of_another_size_is_an_end),
        cmocka_unit_test(texts_end),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
