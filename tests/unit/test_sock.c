/* net/sock and net/transport: who listens where, files of unix sockets, and a plain byte stream. */
#include "net/sock.h"
#include "net/transport.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/sluice-sock-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int no_file(void **state)
{
    (void)state;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

static struct endpoint unix_endpoint(void)
{
    struct endpoint endpoint = {.kind = ENDPOINT_UNIX};
    (void)snprintf(endpoint.path, sizeof endpoint.path, "%s", path);
    return endpoint;
}

static int connect_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a_file_that_nobody_listens_on_is_replaced(void **state)
{
    (void)state;
    struct endpoint endpoint = unix_endpoint();
    char bound[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    for (int round = 0; round < 2; round++) { /* the second finds the first one's file */
        int fd = sock_listen(&endpoint, SOCK_ALONE, bound, why);
        assert_true(fd >= 0);
        assert_string_equal(bound + 5, path);
        int client = connect_unix();
        assert_true(client >= 0);
        close(client);
        close(fd);
        assert_int_equal(access(path, F_OK), 0);
    }
}

static void a_file_that_somebody_listens_on_stays(void **state)
{
    (void)state;
    struct endpoint endpoint = unix_endpoint();
    char bound[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    int first = sock_listen(&endpoint, SOCK_ALONE, bound, why);
    assert_true(first >= 0);
    assert_int_equal(sock_listen(&endpoint, SOCK_ALONE, bound, why), -1);
    assert_string_equal(why, "bind: Address already in use");
    int client = connect_unix();
    assert_true(client >= 0);
    close(client);
    close(first);
}

/* One that is stuck and takes no more connections is in use all the same, and asking must not wait for it. */
static void a_full_backlog_is_in_use(void **state)
{
    (void)state;
    struct endpoint endpoint = unix_endpoint();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char bound[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 0), 0);
    int clients[4];
    size_t count = 0;
    while (count < 4 && (clients[count] = connect_unix()) >= 0) {
        count++;
    }
    assert_in_range(count, 1, 3); /* the next one was turned away */
    assert_int_equal(sock_listen(&endpoint, SOCK_ALONE, bound, why), -1);
    assert_string_equal(why, "bind: Address already in use");
    while (count > 0) {
        close(clients[--count]);
    }
    close(listener);
}

/* Connecting to it is refused as to a stale socket, but it is somebody's file. */
static void a_file_that_is_no_socket_stays(void **state)
{
    (void)state;
    struct endpoint endpoint = unix_endpoint();
    char bound[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    char content[8] = "";
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs("mine", out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(sock_listen(&endpoint, SOCK_ALONE, bound, why), -1);
    assert_string_equal(why, "bind: Address already in use");
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_int_equal(fread(content, 1, sizeof content - 1, in), 4);
    assert_string_equal(content, "mine");
    fclose(in);
}

static void an_address_in_use_is_told(void **state)
{
    (void)state;
    struct endpoint endpoint = {.kind = ENDPOINT_INET, .host = "127.0.0.1"};
    char bound[ENDPOINT_TEXT_MAX];
    char again[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    const char *fault = "";
    int fd = sock_listen(&endpoint, SOCK_ALONE, bound, why);
    assert_true(fd >= 0);
    assert_true(endpoint_parse(slice_from(bound), &endpoint, &fault)); /* the port in force */
    assert_string_equal(endpoint.host, "127.0.0.1");
    assert_int_not_equal(endpoint.port, 0);
    assert_int_equal(sock_listen(&endpoint, SOCK_ALONE, again, why), -1);
    assert_string_equal(why, "bind: Address already in use");
    close(fd);
    fd = sock_listen(&endpoint, SOCK_ALONE, again, why);
    assert_true(fd >= 0);
    assert_string_equal(again, bound);
    close(fd);
}

static void peers_as_text(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        uint16_t port;
        const char *text;
    } cases[] = {
        {{[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 1}, 5000, "10.0.0.1:5000"},
        {{[15] = 1}, 5000, "[::1]:5000"},
        {{0x20, 0x01, 0x0D, 0xB8, [15] = 7}, 5000, "[2001:db8::7]:5000"},
        {{[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 1}, 0, "10.0.0.1"}, /* not known */
        {{[15] = 1}, 0, "::1"},
    };
    char text[SOCK_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sock_peer peer = {.port = cases[i].port};
        memcpy(peer.addr.bytes, cases[i].bytes, 16);
        sock_peer_format(&peer, text);
        assert_string_equal(text, cases[i].text);
    }
    struct sockaddr_storage none = {.ss_family = AF_UNIX};
    struct sock_peer peer = sock_peer_from(&none);
    assert_true(peer.is_unix);
    sock_peer_format(&peer, text);
    assert_string_equal(text, "unix");
}

/* ---- A plain transport. */

static void a_plain_stream(void **state)
{
    (void)state;
    static char block[65536];
    char got[8];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); /* blocking: the transport never does */
    struct transport *t = transport_plain_new(ends[0]);
    assert_non_null(t);
    assert_int_equal(t->ops->handshake(t).status, IO_OK);
    assert_int_equal(t->ops->read(t, got, sizeof got).status, IO_WANT_READ);
    struct io_result result = t->ops->write(t, "hello", 5);
    assert_int_equal(result.status, IO_OK);
    assert_int_equal(result.n, 5);
    assert_int_equal(sock_unacked_bytes(ends[0]) > 0, 1);
    assert_int_equal(read(ends[1], got, sizeof got), 5);
    assert_int_equal(sock_unacked_bytes(ends[0]), 0);
    assert_int_equal(write(ends[1], "ok", 2), 2);
    result = t->ops->read(t, got, sizeof got);
    assert_int_equal(result.status, IO_OK);
    assert_int_equal(result.n, 2);
    do {
        result = t->ops->write(t, block, sizeof block);
    } while (result.status == IO_OK);
    assert_int_equal(result.status, IO_WANT_WRITE);
    assert_int_equal(t->ops->pending(t) + t->ops->unsent(t), 0);
    assert_int_equal(t->ops->flush(t).status, IO_OK);
    assert_int_equal(t->ops->shutdown(t).status, IO_OK);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_int_equal(t->ops->read(t, got, sizeof got).status, IO_EOF);
    assert_string_equal(t->ops->fault(t), "");
    result = t->ops->write(t, "late", 4); /* no SIGPIPE */
    assert_int_equal(result.status, IO_FAIL);
    assert_int_equal(result.err, EPIPE);
    assert_string_equal(t->ops->fault(t), strerror(EPIPE));
    t->ops->close(t, false);
    close(ends[1]);
}

/* Over TCP: closing plainly is an end, closing with `reset` is none. */
static void closed_with_and_without_reset(void **state)
{
    (void)state;
    struct endpoint endpoint = {.kind = ENDPOINT_INET, .host = "127.0.0.1"};
    char bound[ENDPOINT_TEXT_MAX];
    char why[SOCK_TEXT_MAX] = "";
    int listener = sock_listen(&endpoint, SOCK_ALONE, bound, why);
    assert_true(listener >= 0);
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    for (int reset = 0; reset <= 1; reset++) {
        char byte;
        int client = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
        int accepted = accept(listener, NULL, NULL);
        assert_true(accepted >= 0);
        sock_no_delay(accepted);
        struct transport *t = transport_plain_new(accepted);
        assert_non_null(t);
        t->ops->close(t, reset != 0);
        ssize_t n = recv(client, &byte, 1, 0);
        assert_int_equal(n, reset != 0 ? -1 : 0);
        assert_true(reset == 0 || errno == ECONNRESET);
        close(client);
    }
    close(listener);
}

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &len), 0);
    return value;
}

static void keeping_alive_is_in_whole_seconds(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    sock_keep_alive(fd, 25000, 20000);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_int_equal(option(fd, TCP_KEEPIDLE), 25);
    assert_int_equal(option(fd, TCP_KEEPINTVL) * option(fd, TCP_KEEPCNT), 20);
    sock_keep_alive(fd, 1, 0);
    assert_int_equal(option(fd, TCP_KEEPIDLE), 1);
    assert_int_equal(option(fd, TCP_KEEPINTVL), 1);
    sock_keep_alive(fd, UINT64_MAX / 2, UINT64_MAX / 2);
    assert_int_equal(option(fd, TCP_KEEPIDLE), 32767);
    assert_int_equal(option(fd, TCP_KEEPINTVL), 32767);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_file_that_nobody_listens_on_is_replaced, no_file),
        cmocka_unit_test_setup(a_file_that_somebody_listens_on_stays, no_file),
        cmocka_unit_test_setup(a_full_backlog_is_in_use, no_file),
        cmocka_unit_test_setup(a_file_that_is_no_socket_stays, no_file),
        cmocka_unit_test(an_address_in_use_is_told),
        cmocka_unit_test(peers_as_text),
        cmocka_unit_test(keeping_alive_is_in_whole_seconds),
        cmocka_unit_test(a_plain_stream),
        cmocka_unit_test(closed_with_and_without_reset),
    };
    return cmocka_run_group_tests_name("sock", tests, make_folder, remove_folder);
}
