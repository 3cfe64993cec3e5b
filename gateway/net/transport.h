/* One connected byte stream, plain or TLS, behind one small interface. Never blocks.
 *
 * A TLS transport takes all of what is written as long as nothing of an earlier write is unsent: what the
 * kernel did not take it keeps, encrypted, and `unsent` tells how much; `flush` sends it. A plain one keeps
 * nothing. So a writer goes on only while `unsent` is 0, and memory stays bounded by one write. A read makes
 * at most one system call, and what it could not hand out stays `pending`: poll will not announce those
 * bytes. */
#ifndef SLUICE_NET_TRANSPORT_H
#define SLUICE_NET_TRANSPORT_H

#include "base/slice.h"
#include "net/io.h"
#include "net/splice.h"

struct transport;

struct transport_ops {
    /* TLS: goes on with the handshake. IO_OK when it is done (at once on plain). */
    struct io_result (*handshake)(struct transport *t);
    /* At most `cap` bytes into `to`. IO_OK with n > 0, IO_WANT_READ, IO_EOF or IO_FAIL. A TLS stream that
     * ends without close_notify answers IO_EOF as well: the relay's own framing tells whether that was an
     * end. */
    struct io_result (*read)(struct transport *t, void *to, size_t cap);
    /* IO_OK with 0 < n <= len taken, IO_WANT_WRITE with nothing taken, or IO_FAIL. `len` > 0. */
    struct io_result (*write)(struct transport *t, const void *from, size_t len);
    /* As write, of the last bytes there are: shutdown is to follow at once, and what it sends may go with
     * them. */
    struct io_result (*write_last)(struct transport *t, const void *from, size_t len);
    /* Sends what an earlier write left. IO_OK when nothing is left. */
    struct io_result (*flush)(struct transport *t);
    /* Ends our direction: close_notify on TLS, then FIN. Call with nothing unsent. IO_WANT_WRITE: call again.
     */
    struct io_result (*shutdown)(struct transport *t);
    /* Received bytes that a read will hand out without a system call. */
    size_t (*pending)(const struct transport *t);
    /* Accepted bytes that the kernel has not taken yet. */
    size_t (*unsent)(const struct transport *t);
    /* Closes the descriptor and frees the transport. With `reset` the peer sees RST in place of FIN. */
    void (*close)(struct transport *t, bool reset);
    /* ---- Past this process, by splice(2); NULL where the bytes must be seen (TLS). */
    /* As read, into an empty pipe. */
    struct io_result (*read_pipe)(struct transport *t, struct splice_pipe *pipe, size_t cap);
    /* As write; more follows at once, and the kernel may wait for it. */
    struct io_result (*write_head)(struct transport *t, const void *from, size_t len);
    /* As write, of what the pipe holds. */
    struct io_result (*write_pipe)(struct transport *t, struct splice_pipe *pipe);
    /* A phrase for the last IO_FAIL, "" where there is none; lives as long as the transport. */
    const char *(*fault)(const struct transport *t);
};

/* The first member of every kind of transport. */
struct transport {
    const struct transport_ops *ops;
    int fd;
    bool reset; /* the peer has reset it, and the kernel, having told so once, will tell of an end in order */
    uint16_t err; /* of a plain one's last IO_FAIL */
};

/* Over a connected, non-blocking socket, which it owns from now on. NULL when there is no memory (the socket
 * is then still the caller's). */
struct transport *transport_plain_new(int fd) __attribute__((warn_unused_result));

/* Gives back the memory that a thread keeps for its plain transports; none may be left. */
void transport_thread_fini(void);

/* send(2) as an io_result: never SIGPIPE, EINTR repeated. For the transports. */
struct io_result transport_send(int fd, const void *from, size_t len);
/* The same with MSG_MORE: the kernel may wait for what follows. */
struct io_result transport_send_more(int fd, const void *from, size_t len);
/* recv(2) as an io_result. */
struct io_result transport_recv(int fd, void *to, size_t cap);
/* The same, and the bytes stay where they are. */
struct io_result transport_peek(int fd, void *to, size_t cap);
/* Closes a socket, by RST where `reset` (SO_LINGER 0). */
void transport_close_fd(int fd, bool reset);

#endif
