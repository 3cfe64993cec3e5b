#include "net/splice.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SIT_OUT = 256 };

static _Thread_local struct {
    struct splice_pipe pipes[SPLICE_PIPES];
    struct splice_pipe *open;   /* unused and open */
    struct splice_pipe *closed; /* unused and not open any more */
    unsigned touched;           /* of `pipes`; those behind never were open */
    unsigned unused_open;
    unsigned lent;
    unsigned sits_out; /* takes to be refused, after the system has refused one */
} pool;

static void push(struct splice_pipe **chain, struct splice_pipe *pipe)
{
    pipe->next = *chain;
    *chain = pipe;
}

static struct splice_pipe *pop(struct splice_pipe **chain)
{
    struct splice_pipe *pipe = *chain;
    if (pipe != NULL) {
        *chain = pipe->next;
    }
    return pipe;
}

static void pipe_close(struct splice_pipe *pipe)
{
    if (pipe->cap_bytes > 0) {
        close(pipe->read_fd);
        close(pipe->write_fd);
        pipe->cap_bytes = pipe->held_bytes = 0;
    }
}

/* As large as this user may have it. */
static bool pipe_open(struct splice_pipe *pipe)
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        return false;
    }
    int cap = -1;
    for (int asked = SPLICE_CAP_BYTES; cap < 0 && asked >= SPLICE_LEAST_BYTES; asked /= 2) {
        cap = fcntl(fds[1], F_SETPIPE_SZ, asked);
    }
    pipe->read_fd = fds[0];
    pipe->write_fd = fds[1];
    pipe->cap_bytes = cap > 0 ? (uint32_t)cap : 1;
    if (cap < 0) {
        pipe_close(pipe);
    }
    return cap > 0;
}

uint8_t splice_handle_of(const struct splice_pipe *pipe)
{
    return (uint8_t)(pipe - pool.pipes + 1);
}

struct splice_pipe *splice_pipe_of(uint8_t handle)
{
    return handle == SPLICE_NONE ? NULL : &pool.pipes[handle - 1];
}

unsigned splice_pipes_lent(void)
{
    return pool.lent;
}

/* One that is not open; of those that never were, the next. */
static struct splice_pipe *pop_closed(void)
{
    if (pool.closed == NULL && pool.touched < SPLICE_PIPES) {
        return &pool.pipes[pool.touched++];
    }
    return pop(&pool.closed);
}

static struct splice_pipe *take_new(void)
{
    if (pool.sits_out > 0) {
        pool.sits_out--;
        return NULL;
    }
    struct splice_pipe *pipe = pop_closed();
    if (pipe != NULL && !pipe_open(pipe)) {
        push(&pool.closed, pipe);
        pool.sits_out = SIT_OUT;
        return NULL;
    }
    return pipe;
}

struct splice_pipe *splice_pipe_take(bool *opened)
{
    *opened = pool.open == NULL;
    struct splice_pipe *pipe = *opened ? take_new() : pop(&pool.open);
    *opened = *opened && pipe != NULL;
    pool.lent += pipe != NULL;
    pool.unused_open -= pipe != NULL && !*opened;
    return pipe;
}

void splice_pipe_give(struct splice_pipe *pipe)
{
    pool.lent--;
    if (pipe->held_bytes == 0 && pool.unused_open < SPLICE_UNUSED) {
        pool.unused_open++;
        push(&pool.open, pipe);
    } else {
        pipe_close(pipe);
        push(&pool.closed, pipe);
    }
}

void splice_thread_fini(void)
{
    for (size_t i = 0; i < pool.touched; i++) {
        pipe_close(&pool.pipes[i]);
    }
    memset(&pool, 0, sizeof pool);
}

static ssize_t move(int from_fd, int to_fd, size_t n)
{
    ssize_t moved;
    do {
        moved = splice(from_fd, NULL, to_fd, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    } while (moved < 0 && errno == EINTR);
    return moved;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

struct io_result splice_from(struct splice_pipe *pipe, int fd, size_t cap)
{
    ssize_t n = move(fd, pipe->write_fd, cap < pipe->cap_bytes ? cap : pipe->cap_bytes);
    if (n > 0) {
        pipe->held_bytes = (uint32_t)n;
        return (struct io_result){IO_OK, (size_t)n, 0};
    }
    if (n == 0) {
        return (struct io_result){IO_EOF, 0, 0};
    }
    return would_block() ? (struct io_result){IO_WANT_READ, 0, 0} : (struct io_result){IO_FAIL, 0, errno};
}

struct io_result splice_to(struct splice_pipe *pipe, int fd)
{
    ssize_t n = move(pipe->read_fd, fd, pipe->held_bytes);
    if (n > 0) {
        pipe->held_bytes -= (uint32_t)n;
        return (struct io_result){IO_OK, (size_t)n, 0};
    }
    if (n == 0 || would_block()) {
        return (struct io_result){IO_WANT_WRITE, 0, 0};
    }
    return (struct io_result){IO_FAIL, 0, errno};
}

bool splice_empty(struct splice_pipe *pipe, void *to)
{
    uint8_t *at = to;
    while (pipe->held_bytes > 0) {
        ssize_t n = read(pipe->read_fd, at, pipe->held_bytes);
        if (n > 0) {
            at += n;
            pipe->held_bytes -= (uint32_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool splice_is_unable(const struct io_result *result)
{
    return result->status == IO_FAIL &&
           (result->err == EINVAL || result->err == ENOSYS || result->err == EPERM || result->err == ENOMEM);
}
