/* The functions that fail, but for those of memory. */
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

WRAP(void *, mmap, MAP_FAILED, (void *at, size_t n, int protection, int flags, int fd, off_t offset), at, n,
    protection, flags, fd, offset)
WRAP(int, accept4, -1, (int fd, struct sockaddr *restrict address, socklen_t *restrict len, int flags), fd,
    address, len, flags)
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t len), fd, address, len)

/* Interrupted, it goes on by itself (connect(2)). */
int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static int (*next)(int, const struct sockaddr *, socklen_t);
    if (next == NULL) {
        next = (int (*)(int, const struct sockaddr *, socklen_t))shim_find("connect");
    }
    if (!shim_fails(F_connect, HERE)) {
        return next(fd, address, len);
    }
    if (errno == EINTR) {
        (void)next(fd, address, len);
        errno = EINTR;
    }
    return -1;
}

WRAP(int, listen, -1, (int fd, int backlog), fd, backlog)
WRAP(int, socket, -1, (int family, int type, int protocol), family, type, protocol)
WRAP(int, socketpair, -1, (int family, int type, int protocol, int ends[2]), family, type, protocol, ends)
WRAP(int, shutdown, -1, (int fd, int how), fd, how)
WRAP(int, getsockname, -1, (int fd, struct sockaddr *restrict address, socklen_t *restrict len), fd, address,
    len)
WRAP(int, getsockopt, -1, (int fd, int level, int option, void *restrict value, socklen_t *restrict len), fd,
    level, option, value, len)
WRAP(int, setsockopt, -1, (int fd, int level, int option, const void *value, socklen_t len), fd, level,
    option, value, len)
WRAP(ssize_t, recv, -1, (int fd, void *to, size_t n, int flags), fd, to, shim_shortened(fd, n), flags)
WRAP_AS(ssize_t, __recv_chk, recv, -1, (int fd, void *to, size_t n, size_t room, int flags), fd, to,
    shim_shortened(fd, n), room, flags)

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*next)(int, struct msghdr *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, struct msghdr *, int))shim_find("recvmsg");
    }
    if (shim_fails(F_recvmsg, HERE)) {
        return -1;
    }
    struct iovec one;
    struct msghdr part = shim_part_of(fd, message, &one, false);
    ssize_t n = next(fd, &part, flags);
    message->msg_namelen = part.msg_namelen;
    message->msg_controllen = part.msg_controllen;
    message->msg_flags = part.msg_flags;
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*next)(int, const struct msghdr *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, const struct msghdr *, int))shim_find("sendmsg");
    }
    if (shim_fails(F_sendmsg, HERE)) {
        return -1;
    }
    struct iovec one;
    struct msghdr part = shim_part_of(fd, message, &one, true);
    return next(fd, &part, flags);
}

/* What streams may do with more than one part. */
ssize_t readv(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, const struct iovec *, int))shim_find("readv");
    }
    struct iovec one = shim_first_of(fd, parts, false);
    return shim_fails(F_readv, HERE) ? -1 : shim_shortens ? next(fd, &one, 1) : next(fd, parts, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, const struct iovec *, int))shim_find("writev");
    }
    struct iovec one = shim_first_of(fd, parts, true);
    return shim_fails(F_writev, HERE)     ? -1
           : shim_shortens || shim_halves ? next(fd, &one, 1)
                                          : next(fd, parts, count);
}

WRAP(ssize_t, send, -1, (int fd, const void *from, size_t n, int flags), fd, from, shim_given(fd, n), flags)
WRAP(ssize_t, sendto, -1,
    (int fd, const void *from, size_t n, int flags, const struct sockaddr *address, socklen_t len), fd, from,
    shim_given(fd, n), flags, address, len)
WRAP_IO(ssize_t, read, (int fd, void *to, size_t n), fd, to, shim_shortened(fd, n))
WRAP_AS(ssize_t, __read_chk, read, -1, (int fd, void *to, size_t n, size_t room), fd, to,
    shim_shortened(fd, n), room)
WRAP_IO(ssize_t, write, (int fd, const void *from, size_t n), fd, from, shim_given(fd, n))
WRAP(ssize_t, pread, -1, (int fd, void *to, size_t n, off_t at), fd, to, shim_shortened(fd, n), at)
WRAP_AS(ssize_t, __pread_chk, pread, -1, (int fd, void *to, size_t n, off_t at, size_t room), fd, to,
    shim_shortened(fd, n), at, room)
WRAP(ssize_t, splice, -1, (int from, off64_t *at, int to, off64_t *there, size_t n, unsigned flags), from, at,
    to, there, shim_spliced(to, n), flags)
WRAP(int, pipe2, -1, (int ends[2], int flags), ends, flags)
WRAP(int, poll, -1, (struct pollfd * fds, nfds_t count, int timeout_ms), fds, count, timeout_ms)
WRAP_AS(int, __poll_chk, poll, -1, (struct pollfd * fds, nfds_t count, int timeout_ms, size_t room), fds,
    count, timeout_ms, room)
WRAP(int, epoll_create1, -1, (int flags), flags)
WRAP(int, epoll_ctl, -1, (int epoll, int what, int fd, struct epoll_event *event), epoll, what, fd, event)
WRAP(int, epoll_wait, -1, (int epoll, struct epoll_event *events, int count, int timeout_ms), epoll, events,
    shim_shortens ? 1 : count, timeout_ms)
WRAP_AS(int, __openat_2, openat, -1, (int folder, const char *name, int flags), folder, name, flags)
WRAP_AS(int, __open_2, open, -1, (const char *name, int flags), name, flags)
WRAP(int, fstat, -1, (int fd, struct stat *facts), fd, facts)
WRAP(int, stat, -1, (const char *restrict name, struct stat *restrict facts), name, facts)
WRAP(int, lstat, -1, (const char *restrict name, struct stat *restrict facts), name, facts)
WRAP(int, fchmodat, -1, (int folder, const char *name, mode_t mode, int flags), folder, name, mode, flags)
WRAP(int, dup, -1, (int fd), fd)
WRAP(struct passwd *, getpwnam, NULL, (const char *name), name)
WRAP(int, initgroups, -1, (const char *name, gid_t group), name, group)
WRAP(int, setresgid, -1, (gid_t real, gid_t effective, gid_t saved), real, effective, saved)
WRAP(int, setresuid, -1, (uid_t real, uid_t effective, uid_t saved), real, effective, saved)
WRAP(int, gethostname, -1, (char *name, size_t n), name, n)
WRAP(FILE *, fdopen, NULL, (int fd, const char *mode), fd, mode)
WRAP(FILE *, fopencookie, NULL,
    (void *restrict cookie, const char *restrict mode, cookie_io_functions_t functions), cookie, mode,
    functions)
WRAP(pid_t, fork, -1, (void), )
WRAP(int, getaddrinfo, shim_errno,
    (const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
        struct addrinfo **restrict found),
    name, service, hints, found)
WRAP(int, pthread_create, shim_errno,
    (pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*body)(void *),
        void *restrict argument),
    thread, attributes, body, argument)
WRAP(int, eventfd, -1, (unsigned first, int flags), first, flags)
WRAP(int, signalfd, -1, (int fd, const sigset_t *set, int flags), fd, set, flags)
WRAP(int, memfd_create, -1, (const char *name, unsigned flags), name, flags)
WRAP(int, ftruncate, -1, (int fd, off_t len), fd, len)
WRAP(int, fallocate, -1, (int fd, int mode, off_t at, off_t len), fd, mode, at, len)
WRAP(ssize_t, getrandom, -1, (void *to, size_t n, unsigned flags), to, n, flags)
WRAP(int, setrlimit, -1, (__rlimit_resource_t what, const struct rlimit *limit), what, limit)
WRAP(int, getrlimit, -1, (__rlimit_resource_t what, struct rlimit *limit), what, limit)

/* Those with any number of arguments. */
int open(const char *name, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return shim_fails(F_open, HERE) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int openat(int folder, const char *name, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return shim_fails(F_openat, HERE) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (next == NULL) {
        next = (int (*)(int, unsigned long, ...))shim_find("ioctl");
    }
    return shim_fails(F_ioctl, HERE) ? -1 : next(fd, request, argument);
}

int fcntl(int fd, int what, ...)
{
    static int (*next)(int, int, ...);
    va_list more;
    va_start(more, what);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (next == NULL) {
        next = (int (*)(int, int, ...))shim_find("fcntl");
    }
    return shim_fails(F_fcntl, HERE) ? -1 : next(fd, what, argument);
}

int prctl(int what, ...)
{
    static int (*next)(int, ...);
    unsigned long argument[4];
    va_list more;
    va_start(more, what);
    for (int i = 0; i < 4; i++) {
        argument[i] = va_arg(more, unsigned long);
    }
    va_end(more);
    if (next == NULL) {
        next = (int (*)(int, ...))shim_find("prctl");
    }
    return shim_fails(F_prctl, HERE) ? -1 : next(what, argument[0], argument[1], argument[2], argument[3]);
}

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long argument[6];
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 6; i++) {
        argument[i] = va_arg(more, long);
    }
    va_end(more);
    if (next == NULL) {
        next = (long (*)(long, ...))shim_find("syscall");
    }
    return shim_is_ours(HERE) && shim_fails(F_syscall, HERE)
               ? -1
               : next(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

/* OpenSSL's, with its types left out. */
#define WRAP_SSL(type, name, failure, parameters, ...)                                                       \
    type name parameters;                                                                                    \
    WRAP(type, name, failure, parameters, __VA_ARGS__)

WRAP_SSL(void *, SSL_new, NULL, (void *context), context)
WRAP_SSL(void *, SSL_CTX_new, NULL, (const void *method), method)
WRAP_SSL(int, SSL_do_handshake, -1, (void *ssl), ssl)
WRAP_SSL(int, SSL_read_ex, 0, (void *ssl, void *to, size_t n, size_t *got), ssl, to, n, got)
WRAP_SSL(int, SSL_write_ex, 0, (void *ssl, const void *from, size_t n, size_t *put), ssl, from, n, put)
WRAP_SSL(int, SSL_shutdown, -1, (void *ssl), ssl)
WRAP_SSL(int, SSL_CTX_use_cert_and_key, 0, (void *context, void *cert, void *key, void *chain, int anew),
    context, cert, key, chain, anew)
WRAP_SSL(long, SSL_CTX_ctrl, 0, (void *context, int what, long number, void *pointer), context, what, number,
    pointer)
WRAP_SSL(int, SSL_CTX_set_cipher_list, 0, (void *context, const char *list), context, list)
WRAP_SSL(int, SSL_CTX_set_ciphersuites, 0, (void *context, const char *list), context, list)
WRAP_SSL(void *, BIO_new, NULL, (const void *method), method)
WRAP_SSL(void *, BIO_meth_new, NULL, (int type, const char *name), type, name)
WRAP_SSL(void *, EVP_MD_CTX_new, NULL, (void), )
WRAP_SSL(int, EVP_DigestInit_ex, 0, (void *context, const void *type, void *engine), context, type, engine)
WRAP_SSL(int, EVP_DigestUpdate, 0, (void *context, const void *from, size_t n), context, from, n)
WRAP_SSL(int, EVP_DigestFinal_ex, 0, (void *context, void *to, unsigned *n), context, to, n)
WRAP_SSL(void *, X509_STORE_new, NULL, (void), )
WRAP_SSL(void *, PEM_read_bio_X509, NULL, (void *bio, void **to, void *callback, void *context), bio, to,
    callback, context)
WRAP_SSL(void *, PEM_read_bio_PrivateKey, NULL, (void *bio, void **to, void *callback, void *context), bio,
    to, callback, context)
WRAP_SSL(int, yaml_parser_initialize, 0, (void *parser), parser)
