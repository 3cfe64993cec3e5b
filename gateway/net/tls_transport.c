#include "net/tls_internal.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What the peer may have us answer (alerts, key updates) and not take. */
enum { ANSWERS_MAX = 4096 };

enum stage {
    STAGE_CALLING,     /* the connecting side has not spoken */
    STAGE_HANDSHAKING, /* the peer is to be heard */
    STAGE_OPEN,
    STAGE_ENDED, /* the peer ended its direction */
    STAGE_FAILED,
};

/* Our direction. */
enum sending { SENDING_OPEN, SENDING_NOTIFIED, SENDING_SHUT };

struct tls_transport {
    struct transport transport;
    SSL *ssl;
    struct tls_pipe pipe;
    const char *fault; /* static storage */
    int err;           /* with STAGE_FAILED */
    uint16_t answers;  /* bytes in the outbox that were not written by our side */
    enum stage stage;
    enum sending sending;
    bool ktls;         /* OpenSSL writes to the socket, until it is known what comes of it */
    bool kernel_sends; /* the kernel encrypts: what is sent goes to the socket as it is */
    bool rekeyed;      /* with `ktls`: we have told the peer of a new key */
    bool write_waits;  /* the handshake, for the socket to take more */
    bool notify_waits; /* the same for close_notify */
    bool end_untold;   /* ENDED or FAILED came up behind bytes that were to be handed out first */
};

static struct tls_transport *tls_of(struct transport *t)
{
    return (struct tls_transport *)(void *)t;
}

static const struct tls_transport *tls_of_const(const struct transport *t)
{
    return (const struct tls_transport *)(const void *)t;
}

static struct io_result answer(enum io_status status, size_t n)
{
    return (struct io_result){status, n, 0};
}

static struct io_result fail(struct tls_transport *tls, const char *fault, int err)
{
    tls->stage = STAGE_FAILED;
    tls->fault = fault;
    tls->err = err;
    buf_fini(&tls->pipe.inbox);
    return (struct io_result){IO_FAIL, 0, err};
}

/* The peer may have more to say. */
static bool is_live(const struct tls_transport *tls)
{
    return tls->stage == STAGE_OPEN || tls->stage == STAGE_HANDSHAKING;
}

static struct io_result fail_errno(struct tls_transport *tls, int err)
{
    return fail(tls, strerror(err), err);
}

/* ---- Around each call of OpenSSL. */

static void enter(struct tls_transport *tls)
{
    ERR_clear_error();
    tls_pipe_use(&tls->pipe);
}

static struct io_result fail_ssl(struct tls_transport *tls)
{
    const char *fault = tls_fault_take(tls->ssl);
    bool no_memory = fault == NULL || tls->pipe.send_err == ENOMEM;
    return no_memory ? fail_errno(tls, ENOMEM) : fail(tls, fault, 0);
}

/* Sends what OpenSSL wrote; where `more` follows at once, the kernel may wait for it. False: no memory. */
static bool settle(struct tls_transport *tls, bool more)
{
    tls->pipe.more = more;
    return tls_pipe_settle(&tls->pipe, is_live(tls));
}

/* ---- Handshake. */

/* close_notify. By the pipe it is taken at once; a socket may be full. */
static void notify(struct tls_transport *tls)
{
    enter(tls);
    int rc = SSL_shutdown(tls->ssl); /* the peer's own close_notify is read(), not awaited here */
    tls->notify_waits = rc < 0 && SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
}

static struct io_result tls_flush(struct transport *t)
{
    struct tls_transport *tls = tls_of(t);
    struct io_result result = tls_pipe_flush(&tls->pipe);
    if (result.status == IO_OK && tls->notify_waits) {
        notify(tls);
        result.status = tls->notify_waits ? IO_WANT_WRITE : IO_OK;
    }
    if (result.status == IO_OK) {
        tls->answers = 0;
    } else if (result.status == IO_FAIL) {
        tls->fault = strerror(result.err);
    }
    return result;
}

static const struct transport_ops tls_kernel_ops;

/* The handshake is done, and with it the kernel has its keys, or OpenSSL did not hand them on. */
static void leave_socket(struct tls_transport *tls)
{
    if (tls->ktls && tls_ktls_end(tls->ssl)) {
        tls->kernel_sends = true;
        tls->transport.ops = &tls_kernel_ops;
    }
    tls->ktls = false;
}

static struct io_result handshake_step(struct tls_transport *tls)
{
    enter(tls);
    tls->pipe.takes = UINT_MAX; /* a step of it is a share already (RELAY_HANDSHAKES) */
    int rc = SSL_do_handshake(tls->ssl);
    int error = SSL_get_error(tls->ssl, rc);
    tls->write_waits = error == SSL_ERROR_WANT_WRITE;
    if (rc == 1) {
        tls->stage = STAGE_OPEN;
        leave_socket(tls);
    } else if (tls->write_waits || error == SSL_ERROR_WANT_READ) {
        tls->stage = STAGE_HANDSHAKING;
    } else {
        struct io_result failed = fail_ssl(tls);
        (void)settle(tls, false); /* the alert; the connection is lost either way */
        return failed;
    }
    /* A ticket can wait for the first answer; in TLS 1.2 the peer waits for the end of the handshake. */
    if (!settle(tls, rc == 1 && SSL_is_server(tls->ssl) && SSL_version(tls->ssl) == TLS1_3_VERSION)) {
        return fail_errno(tls, ENOMEM);
    }
    struct io_result flushed = tls_flush(&tls->transport);
    if (flushed.status != IO_OK) {
        return flushed.status == IO_FAIL ? fail_errno(tls, flushed.err) : flushed;
    }
    return answer(rc == 1 ? IO_OK : tls->write_waits ? IO_WANT_WRITE : IO_WANT_READ, 0);
}

static struct io_result tls_handshake(struct transport *t)
{
    struct tls_transport *tls = tls_of(t);
    if (tls->stage == STAGE_FAILED) {
        return (struct io_result){IO_FAIL, 0, tls->err};
    }
    struct io_result result = tls_flush(t);
    if (result.status != IO_OK || tls->stage == STAGE_OPEN || tls->stage == STAGE_ENDED) {
        return result;
    }
    if (tls->stage == STAGE_HANDSHAKING && !tls->write_waits) {
        result = tls_pipe_receive(&tls->pipe, 0);
        switch (result.status) {
        case IO_OK:
            break;
        case IO_EOF:
            return fail(tls, "closed during the handshake", 0);
        case IO_FAIL:
            return fail_errno(tls, result.err);
        case IO_WANT_READ:
        case IO_WANT_WRITE:
            return result;
        }
    }
    return handshake_step(tls);
}

/* ---- Reading. */

/* A read's share of a turn, by what OpenSSL takes: twice a record. One that brings no byte costs far more
 * than one that does (a key update of 30 bytes has both sides' keys derived anew), and its peer next to
 * nothing. */
enum { SHARE = 2 * 256, SHARE_AT_ONCE = 2 * 32, RECORD_TAKES = 2, EMPTY_COSTS = 8 };

static unsigned price_of(unsigned takes, unsigned share)
{
    unsigned empty = takes > RECORD_TAKES ? takes - RECORD_TAKES : 0;
    unsigned price = takes - empty + empty * EMPTY_COSTS;
    return price < share ? price : share;
}

/* Decrypts what is held, until `cap` is full, no whole record is left, or it has had its share. */
static size_t decrypt(struct tls_transport *tls, char *to, size_t cap)
{
    size_t n = 0;
    unsigned share = SHARE;
    while (n < cap && share > 0) {
        size_t one = 0;
        unsigned takes = share < SHARE_AT_ONCE ? share : SHARE_AT_ONCE;
        tls->pipe.takes = takes;
        enter(tls);
        int rc = SSL_read_ex(tls->ssl, to + n, cap - n, &one);
        share -= price_of(takes - tls->pipe.takes, share);
        if (rc == 1) {
            n += one;
            continue;
        }
        int error = SSL_get_error(tls->ssl, rc);
        if (error == SSL_ERROR_ZERO_RETURN) {
            tls->stage = STAGE_ENDED;
            buf_fini(&tls->pipe.inbox);
        } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            (void)fail_ssl(tls);
        }
        break;
    }
    return n;
}

/* Decrypts, and sends what that made OpenSSL answer. A peer that has us answer and does not read the answers
 * would have us keep more and more of them. */
static size_t decrypt_and_answer(struct tls_transport *tls, void *to, size_t cap)
{
    size_t before = buf_len(&tls->pipe.outbox);
    size_t n = decrypt(tls, to, cap);
    if (!settle(tls, false)) {
        (void)fail_errno(tls, ENOMEM);
        return n;
    }
    size_t more = buf_len(&tls->pipe.outbox) - before;
    if (more > ANSWERS_MAX - (size_t)tls->answers) {
        (void)fail(tls, "asks for answers and does not read them", 0);
    } else {
        tls->answers = (uint16_t)(tls->answers + more);
    }
    if (tls->kernel_sends && tls->rekeyed) {
        (void)fail(tls, "asks for new keys, which the kernel does not take", 0);
    }
    return n;
}

/* What a read answers with `n` bytes at hand; an end is told when all bytes before it are handed out. */
static struct io_result read_outcome(struct tls_transport *tls, size_t n)
{
    bool over = tls->stage == STAGE_ENDED || tls->stage == STAGE_FAILED;
    tls->end_untold = over && n > 0;
    if (n > 0) {
        return answer(IO_OK, n);
    }
    if (tls->stage == STAGE_FAILED) {
        return (struct io_result){IO_FAIL, 0, tls->err};
    }
    return answer(over ? IO_EOF : IO_WANT_READ, 0);
}

static struct io_result tls_read(struct transport *t, void *to, size_t cap)
{
    struct tls_transport *tls = tls_of(t);
    assert(cap > 0 && tls->stage != STAGE_CALLING && tls->stage != STAGE_HANDSHAKING);
    if (tls->stage != STAGE_OPEN) {
        return read_outcome(tls, 0);
    }
    if (SSL_pending(tls->ssl) > 0 || buf_len(&tls->pipe.inbox) > 0) {
        size_t n = decrypt_and_answer(tls, to, cap);
        if (n > 0 || tls->stage != STAGE_OPEN || buf_len(&tls->pipe.inbox) > 0) {
            return read_outcome(tls, n);
        }
    }
    struct io_result result = tls_pipe_receive(&tls->pipe, cap);
    switch (result.status) {
    case IO_OK:
        return read_outcome(tls, decrypt_and_answer(tls, to, cap));
    case IO_EOF:
        tls->stage = STAGE_ENDED; /* OpenSSL is not told: to it, an end without close_notify is an error */
        return result;
    case IO_FAIL:
        return fail_errno(tls, result.err);
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        break;
    }
    return result;
}

static size_t tls_pending(const struct transport *t)
{
    const struct tls_transport *tls = tls_of_const(t);
    if (tls->stage != STAGE_OPEN) {
        return tls->end_untold;
    }
    return (size_t)SSL_pending(tls->ssl) + buf_len(&tls->pipe.inbox);
}

/* ---- Writing. */

static bool may_send(const struct tls_transport *tls, struct io_result *why_not)
{
    *why_not = (struct io_result){IO_FAIL, 0, tls->stage == STAGE_FAILED ? tls->err : EPIPE};
    return tls->stage != STAGE_FAILED && tls->sending == SENDING_OPEN;
}

/* Our direction ends: close_notify, which tls_pipe_settle is to send. */
static void end_sending(struct tls_transport *tls)
{
    tls->sending = SENDING_NOTIFIED;
    if (tls->stage == STAGE_OPEN || tls->stage == STAGE_ENDED) {
        notify(tls);
        tls_alloc_release(tls->ssl); /* this write released none, and a drain ends all sessions at once */
    }
}

static struct io_result write_and(struct transport *t, const void *from, size_t len, bool ends)
{
    struct tls_transport *tls = tls_of(t);
    assert(len > 0 && tls->stage != STAGE_CALLING && tls->stage != STAGE_HANDSHAKING);
    struct io_result result;
    if (!may_send(tls, &result)) {
        return result;
    }
    result = tls_flush(t);
    if (result.status != IO_OK) {
        return result;
    }
    size_t n = 0;
    enter(tls);
    bool taken = SSL_write_ex(tls->ssl, from, len, &n) == 1;
    if (!taken) {
        result = fail_ssl(tls);
        (void)settle(tls, false);
        return result;
    }
    if (ends) {
        end_sending(tls);
    }
    if (!settle(tls, ends)) { /* FIN follows */
        return fail_errno(tls, ENOMEM);
    }
    if (tls->pipe.send_err != 0) {
        return tls_flush(t);
    }
    return answer(IO_OK, n);
}

static struct io_result tls_write(struct transport *t, const void *from, size_t len)
{
    return write_and(t, from, len, false);
}

static struct io_result tls_write_last(struct transport *t, const void *from, size_t len)
{
    return write_and(t, from, len, true);
}

/* ---- The same where the kernel encrypts. */

static struct io_result kernel_sent(struct tls_transport *tls, struct io_result result)
{
    if (result.status == IO_FAIL) {
        tls->pipe.send_err = result.err;
        tls->fault = strerror(result.err);
    }
    return result;
}

static struct io_result kernel_write(struct transport *t, const void *from, size_t len)
{
    struct io_result no;
    return may_send(tls_of(t), &no) ? kernel_sent(tls_of(t), transport_send(t->fd, from, len)) : no;
}

static struct io_result kernel_write_head(struct transport *t, const void *from, size_t len)
{
    struct io_result no;
    return may_send(tls_of(t), &no) ? kernel_sent(tls_of(t), transport_send_more(t->fd, from, len)) : no;
}

static struct io_result kernel_write_pipe(struct transport *t, struct splice_pipe *pipe)
{
    struct io_result no;
    return may_send(tls_of(t), &no) ? kernel_sent(tls_of(t), splice_to(pipe, t->fd)) : no;
}

/* ---- The end. */

static struct io_result tls_shutdown(struct transport *t)
{
    struct tls_transport *tls = tls_of(t);
    if (tls->sending == SENDING_OPEN) {
        struct io_result before = tls_flush(t);
        if (before.status != IO_OK) {
            return before;
        }
        end_sending(tls);
        if (!settle(tls, false)) {
            return fail_errno(tls, ENOMEM);
        }
    }
    struct io_result flushed = tls_flush(t);
    if (flushed.status != IO_OK || tls->sending == SENDING_SHUT) {
        return flushed;
    }
    if (shutdown(t->fd, SHUT_WR) != 0) {
        tls->pipe.send_err = errno;
        return tls_flush(t);
    }
    tls->sending = SENDING_SHUT;
    return answer(IO_OK, 0);
}

static size_t tls_unsent(const struct transport *t)
{
    const struct tls_transport *tls = tls_of_const(t);
    return buf_len(&tls->pipe.outbox) + tls->notify_waits;
}

static void tls_close(struct transport *t, bool reset)
{
    struct tls_transport *tls = tls_of(t);
    SSL_free(tls->ssl);
    tls_pipe_fini(&tls->pipe);
    transport_close_fd(t->fd, reset);
    free(tls);
}

static const char *tls_fault(const struct transport *t)
{
    return tls_of_const(t)->fault;
}

static const struct transport_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .write_last = tls_write_last,
    .flush = tls_flush,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .unsent = tls_unsent,
    .close = tls_close,
    .fault = tls_fault,
};

static const struct transport_ops tls_kernel_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = kernel_write,
    .write_last = kernel_write,
    .flush = tls_flush,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .unsent = tls_unsent,
    .close = tls_close,
    .write_head = kernel_write_head,
    .write_pipe = kernel_write_pipe,
    .fault = tls_fault,
};

/* ---- Making one. */

void tls_transport_prepare(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN);
}

struct transport *tls_transport_new(SSL *ssl, int fd, bool ktls)
{
    struct tls_transport *tls = calloc(1, sizeof *tls);
    if (tls == NULL || !tls_pipe_init(&tls->pipe, ssl, fd)) {
        free(tls);
        SSL_free(ssl);
        return NULL;
    }
    tls->transport = (struct transport){.ops = &tls_ops, .fd = fd};
    tls->ssl = ssl;
    tls->fault = "";
    tls->stage = SSL_is_server(ssl) ? STAGE_HANDSHAKING : STAGE_CALLING;
    tls->ktls = ktls && tls_ktls_begin(ssl, fd, &tls->rekeyed);
    return &tls->transport;
}

SSL *tls_transport_ssl(const struct transport *t)
{
    return t->ops == &tls_ops || t->ops == &tls_kernel_ops ? tls_of_const(t)->ssl : NULL;
}
