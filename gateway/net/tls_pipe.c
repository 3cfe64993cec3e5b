#include "net/tls_internal.h"
#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* RFC 8446 5.2: 2^14 + 256 and the header; TLS 1.2 may add 2,048 in all (RFC 5246 6.2.3). */
    RECORD_MAX = 16384 + 2048 + 5,
    SHARED_CAP = 256 * 1024 + RECORD_MAX,
};

struct shared {
    BIO *bio;                 /* of all connections, which hold a reference each */
    struct tls_pipe *pipe;    /* of the one that OpenSSL is called for */
    size_t read_at, read_end; /* ciphertext that came and is not yet taken */
    size_t write_end;         /* ciphertext that is to go */
    uint8_t read[SHARED_CAP];
    uint8_t write[SHARED_CAP];
};

/* Made with a thread's first connection, and there until the process ends. */
static _Thread_local struct shared *shared;

/* Sends what was collected, and keeps what the kernel does not take. */
static bool send_collected(struct tls_pipe *pipe)
{
    size_t len = shared->write_end;
    size_t sent = 0;
    shared->write_end = 0;
    if (len > 0 && buf_len(&pipe->outbox) == 0 && pipe->send_err == 0) {
        struct io_result result = pipe->more ? transport_send_more(pipe->fd, shared->write, len)
                                             : transport_send(pipe->fd, shared->write, len);
        sent = result.n;
        pipe->send_err = result.status == IO_FAIL ? result.err : 0;
    }
    if (pipe->send_err != 0) {
        return pipe->send_err != ENOMEM;
    }
    if (!buf_append(&pipe->outbox, shared->write + sent, len - sent)) {
        pipe->send_err = ENOMEM;
        return false;
    }
    return true;
}

static bool collect(struct tls_pipe *pipe, const char *from, size_t len)
{
    while (len > 0) {
        size_t room = sizeof shared->write - shared->write_end;
        if (room == 0) {
            if (!send_collected(pipe)) {
                return false;
            }
            continue;
        }
        size_t n = len < room ? len : room;
        memcpy(shared->write + shared->write_end, from, n);
        shared->write_end += n;
        from += n;
        len -= n;
    }
    return true;
}

struct io_result tls_pipe_receive(struct tls_pipe *pipe, size_t cap)
{
    assert(shared->read_at == shared->read_end);
    /* As much as decrypts to `cap` in full records, each of which has 22 bytes of its own. */
    size_t most = cap + cap / 512;
    most = most < RECORD_MAX ? RECORD_MAX : most < SHARED_CAP ? most : SHARED_CAP;
    struct io_result result = transport_recv(pipe->fd, shared->read, most);
    shared->read_at = 0;
    shared->read_end = result.n;
    return result;
}

bool tls_pipe_settle(struct tls_pipe *pipe, bool keep)
{
    size_t left = shared->read_end - shared->read_at;
    bool kept = true;
    if (!keep) {
        buf_fini(&pipe->inbox);
    } else if (left > 0) {
        kept = buf_append(&pipe->inbox, shared->read + shared->read_at, left);
    }
    shared->read_at = shared->read_end = 0;
    return send_collected(pipe) && kept;
}

struct io_result tls_pipe_flush(struct tls_pipe *pipe)
{
    if (pipe->send_err == 0 && buf_len(&pipe->outbox) > 0) {
        struct io_result result = transport_send(pipe->fd, buf_data(&pipe->outbox), buf_len(&pipe->outbox));
        if (result.status == IO_FAIL) {
            pipe->send_err = result.err;
        } else {
            buf_take(&pipe->outbox, result.n);
        }
    }
    if (pipe->send_err != 0) {
        buf_fini(&pipe->outbox); /* nobody will have it */
        return (struct io_result){IO_FAIL, 0, pipe->send_err};
    }
    enum io_status status = buf_len(&pipe->outbox) > 0 ? IO_WANT_WRITE : IO_OK;
    return (struct io_result){status, 0, 0};
}

/* ---- The BIO. Connections take turns with the one of their thread: what it is to them lies in the pipe. */

/* From the inbox, and then from the shared buffer. */
static int bio_read(BIO *bio, char *to, int cap)
{
    struct tls_pipe *pipe = shared->pipe;
    BIO_clear_retry_flags(bio);
    size_t kept = buf_len(&pipe->inbox);
    size_t held = kept > 0 ? kept : shared->read_end - shared->read_at;
    size_t n = held < (size_t)cap ? held : (size_t)cap;
    if (n == 0 || pipe->takes == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    pipe->takes--;
    if (kept > 0) {
        memcpy(to, buf_data(&pipe->inbox), n);
        buf_take(&pipe->inbox, n);
    } else {
        memcpy(to, shared->read + shared->read_at, n);
        shared->read_at += n;
    }
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int len)
{
    BIO_clear_retry_flags(bio);
    return collect(shared->pipe, from, (size_t)len) ? len : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing else is known to it */
}

static BIO_METHOD *method; /* for the process's life */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tls_pipe");
    if (method != NULL) {
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
}

static bool share(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    if (shared != NULL) {
        return true;
    }
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    shared = bio != NULL ? malloc(sizeof *shared) : NULL;
    if (shared == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_init(bio, 1);
    shared->bio = bio;
    shared->pipe = NULL;
    shared->read_at = shared->read_end = shared->write_end = 0;
    return true;
}

bool tls_pipe_init(struct tls_pipe *pipe, SSL *ssl, int fd)
{
    if (!share() || BIO_up_ref(shared->bio) != 1) {
        return false;
    }
    *pipe = (struct tls_pipe){.fd = fd};
    buf_init(&pipe->inbox);
    buf_init(&pipe->outbox);
    SSL_set_bio(ssl, shared->bio, shared->bio);
    return true;
}

void tls_pipe_use(struct tls_pipe *pipe)
{
    shared->pipe = pipe;
}

void tls_pipe_fini(struct tls_pipe *pipe)
{
    buf_fini(&pipe->inbox);
    buf_fini(&pipe->outbox);
}
