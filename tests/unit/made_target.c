#include "made_target.h"
#include "made_certs.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20 * 1000 };

struct made_target made_target_listening(int backlog)
{
    struct made_target target = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    target.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(target.fd, (const struct sockaddr *)&address, sizeof address));
    assert_int_equal(0, getsockname(target.fd, (struct sockaddr *)&address, &len));
    if (backlog >= 0) {
        assert_int_equal(0, listen(target.fd, backlog));
    }
    target.port = ntohs(address.sin_port);
    (void)snprintf(target.text, sizeof target.text, "127.0.0.1:%u", (unsigned)target.port);
    return target;
}

static void unix_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address->sun_path);
    memcpy(address->sun_path, path, strlen(path));
}

struct made_target made_target_listening_unix(const char *file, int backlog)
{
    struct made_target target = {0};
    struct sockaddr_un address;
    unix_address(made_certs_path(file), &address);
    (void)unlink(address.sun_path);
    target.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(target.fd, (const struct sockaddr *)&address, sizeof address));
    assert_int_equal(0, listen(target.fd, backlog));
    (void)snprintf(target.text, sizeof target.text, "unix:%s", address.sun_path);
    return target;
}

struct made_target made_target_crowded(void)
{
    struct made_target target = made_target_listening(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < MADE_TARGET_CROWD; i++) {
        target.crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(target.crowd[i], (const struct sockaddr *)&address, sizeof address);
    }
    return target;
}

struct made_target made_target_crowded_unix(void)
{
    struct made_target target = made_target_listening_unix("crowded.sock", 0);
    struct sockaddr_un address;
    unix_address(made_certs_path("crowded.sock"), &address);
    for (int i = 0; i < MADE_TARGET_CROWD; i++) {
        target.crowd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(target.crowd[i], (const struct sockaddr *)&address, sizeof address);
    }
    return target;
}

void made_target_end(const struct made_target *target)
{
    for (int i = 0; i < MADE_TARGET_CROWD; i++) {
        if (target->crowd[i] > 0) {
            close(target->crowd[i]);
        }
    }
    close(target->fd);
}

int made_target_accept(const struct made_target *target)
{
    struct pollfd one = {.fd = target->fd, .events = POLLIN};
    assert_int_equal(1, poll(&one, 1, PATIENCE_MS));
    int fd = accept4(target->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}
