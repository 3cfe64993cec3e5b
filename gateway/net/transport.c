#include "net/transport.h"
#include "base/pool.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct io_result send_with(int fd, const void *from, size_t len, int flags)
{
    for (;;) {
        ssize_t n = send(fd, from, len, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            return (struct io_result){IO_OK, (size_t)n, 0};
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return (struct io_result){IO_WANT_WRITE, 0, 0};
        }
        if (errno != EINTR) {
            return (struct io_result){IO_FAIL, 0, errno};
        }
    }
}

struct io_result transport_send(int fd, const void *from, size_t len)
{
    return send_with(fd, from, len, 0);
}

struct io_result transport_send_more(int fd, const void *from, size_t len)
{
    return send_with(fd, from, len, MSG_MORE);
}

static struct io_result receive(int fd, void *to, size_t cap, int flags)
{
    for (;;) {
        ssize_t n = recv(fd, to, cap, flags | MSG_DONTWAIT);
        if (n > 0) {
            return (struct io_result){IO_OK, (size_t)n, 0};
        }
        if (n == 0) {
            return (struct io_result){IO_EOF, 0, 0};
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return (struct io_result){IO_WANT_READ, 0, 0};
        }
        if (errno != EINTR) {
            return (struct io_result){IO_FAIL, 0, errno};
        }
    }
}

struct io_result transport_recv(int fd, void *to, size_t cap)
{
    return receive(fd, to, cap, 0);
}

struct io_result transport_peek(int fd, void *to, size_t cap)
{
    return receive(fd, to, cap, MSG_PEEK);
}

void transport_close_fd(int fd, bool reset)
{
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none); /* without it the peer sees FIN */
    }
    close(fd);
}

/* Every session has one or two, and they are small. */
static _Thread_local struct pool plains = {.object_bytes = sizeof(struct transport)};

void transport_thread_fini(void)
{
    pool_fini(&plains);
    splice_thread_fini();
}

static struct io_result plain_noted(struct transport *t, struct io_result result)
{
    if (result.status == IO_FAIL) {
        t->err = (uint16_t)result.err;
    }
    return result;
}

static struct io_result plain_handshake(struct transport *t)
{
    (void)t;
    return (struct io_result){IO_OK, 0, 0};
}

static struct io_result plain_read(struct transport *t, void *to, size_t cap)
{
    return plain_noted(t, transport_recv(t->fd, to, cap));
}

static struct io_result plain_write(struct transport *t, const void *from, size_t len)
{
    return plain_noted(t, transport_send(t->fd, from, len));
}

static struct io_result plain_read_pipe(struct transport *t, struct splice_pipe *pipe, size_t cap)
{
    return plain_noted(t, splice_from(pipe, t->fd, cap));
}

static struct io_result plain_write_more(struct transport *t, const void *from, size_t len)
{
    return plain_noted(t, transport_send_more(t->fd, from, len));
}

static struct io_result plain_write_pipe(struct transport *t, struct splice_pipe *pipe)
{
    return plain_noted(t, splice_to(pipe, t->fd));
}

static struct io_result plain_shutdown(struct transport *t)
{
    if (shutdown(t->fd, SHUT_WR) != 0) {
        return plain_noted(t, (struct io_result){IO_FAIL, 0, errno});
    }
    return (struct io_result){IO_OK, 0, 0};
}

static size_t plain_none(const struct transport *t)
{
    (void)t;
    return 0;
}

static void plain_close(struct transport *t, bool reset)
{
    transport_close_fd(t->fd, reset);
    pool_give(&plains, t);
}

static const char *plain_fault(const struct transport *t)
{
    return t->err == 0 ? "" : strerror(t->err);
}

static const struct transport_ops plain_ops = {
    .handshake = plain_handshake,
    .read = plain_read,
    .write = plain_write,
    .write_last = plain_write_more,
    .flush = plain_handshake, /* nothing is ever left over */
    .shutdown = plain_shutdown,
    .pending = plain_none,
    .unsent = plain_none,
    .close = plain_close,
    .read_pipe = plain_read_pipe,
    .write_head = plain_write_more,
    .write_pipe = plain_write_pipe,
    .fault = plain_fault,
};

struct transport *transport_plain_new(int fd)
{
    struct transport *plain = pool_take(&plains);
    if (plain != NULL) {
        *plain = (struct transport){.ops = &plain_ops, .fd = fd};
    }
    return plain;
}
