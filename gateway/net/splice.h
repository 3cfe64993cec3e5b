/* Kernel pipes by which splice(2) moves bytes from one socket to another without their being copied here.
 *
 * A thread owns its pipes, of which each is lent to one flow as long as there is something in it. Nothing
 * blocks; opening a pipe is two system calls, and one that was given back empty is used again. */
#ifndef SLUICE_NET_SPLICE_H
#define SLUICE_NET_SPLICE_H

#include "net/io.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    SPLICE_PIPES = 32,           /* lent at most; each has two descriptors */
    SPLICE_UNUSED = 4,           /* kept open for the next one */
    SPLICE_CAP_BYTES = 1 << 20,  /* asked for: what any user may have (pipe(7), pipe-max-size) */
    SPLICE_LEAST_BYTES = 1 << 18 /* a smaller pipe makes more calls than it saves copies */
};

struct splice_pipe {
    struct splice_pipe *next; /* of the unused */
    uint32_t held_bytes;
    uint32_t cap_bytes; /* 0: not open */
    int read_fd;
    int write_fd;
};

/* What a flow keeps of a pipe, since every session has a place for it; SPLICE_NONE: none. */
enum { SPLICE_NONE = 0 };
uint8_t splice_handle_of(const struct splice_pipe *pipe);
struct splice_pipe *splice_pipe_of(uint8_t handle);

/* An empty pipe; NULL: none is to be had now. *opened tells that it is a new one. */
struct splice_pipe *splice_pipe_take(bool *opened) __attribute__((warn_unused_result));
/* With what it holds, which is then gone. */
void splice_pipe_give(struct splice_pipe *pipe);
/* How many are lent. */
unsigned splice_pipes_lent(void);
/* Closes the thread's pipes; none may be lent. */
void splice_thread_fini(void);

/* At most `cap` bytes from a non-blocking socket into the pipe, which was empty: answers as a read does. */
struct io_result splice_from(struct splice_pipe *pipe, int fd, size_t cap);
/* What it holds into a non-blocking socket: answers as a write does. */
struct io_result splice_to(struct splice_pipe *pipe, int fd);
/* What it holds into memory, for a sink that cannot be spliced to. */
bool splice_empty(struct splice_pipe *pipe, void *to) __attribute__((warn_unused_result));

/* A failure says nothing of the connection: splice(2) is not to be had here (a kind of file without it, a
 * filter of system calls, no memory), and read(2) or write(2) is. */
bool splice_is_unable(const struct io_result *result);

#endif
