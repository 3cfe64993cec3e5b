/* What the files of the shim share (tests/faults/shim.c). */
#ifndef FAULTS_SHIM_H
#define FAULTS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* clang-format off */
#define FUNCTIONS(X) \
    X(malloc) X(calloc) X(realloc) X(reallocarray) X(mmap) \
    X(accept4) X(bind) X(connect) X(listen) X(socket) X(socketpair) X(shutdown) \
    X(getsockname) X(getsockopt) X(setsockopt) X(recv) X(recvmsg) X(send) X(sendmsg) X(sendto) \
    X(read) X(write) X(readv) X(writev) X(pread) X(splice) X(pipe2) X(poll) X(epoll_create1) X(epoll_ctl) \
    X(epoll_wait) X(open) X(openat) X(syscall) X(fstat) X(stat) X(lstat) X(fchmodat) X(fcntl) X(dup) \
    X(ioctl) X(fork) X(getaddrinfo) X(pthread_create) X(prctl) X(getpwnam) X(initgroups) X(setresgid) \
    X(setresuid) X(gethostname) X(fdopen) X(fopencookie) \
    X(eventfd) X(signalfd) X(memfd_create) X(ftruncate) X(fallocate) X(getrandom) X(setrlimit) X(getrlimit) \
    X(SSL_new) X(SSL_CTX_new) X(SSL_do_handshake) X(SSL_read_ex) X(SSL_write_ex) X(SSL_shutdown) \
    X(SSL_CTX_use_cert_and_key) X(SSL_CTX_ctrl) X(SSL_CTX_set_cipher_list) X(SSL_CTX_set_ciphersuites) \
    X(BIO_new) X(BIO_meth_new) X(EVP_MD_CTX_new) X(EVP_DigestInit_ex) X(EVP_DigestUpdate) \
    X(EVP_DigestFinal_ex) X(X509_STORE_new) X(PEM_read_bio_X509) X(PEM_read_bio_PrivateKey) \
    X(yaml_parser_initialize)
/* clang-format on */

enum function {
#define CONSTANT(name) F_##name,
    FUNCTIONS(CONSTANT) FUNCTION_COUNT
};

#pragma GCC visibility push(hidden)

extern int shim_errno; /* of the calls that are to fail */
extern bool shim_shortens, shim_halves;

/* The function that ours stands before. */
void *shim_find(const char *name);
/* Counts the call. True: it fails, with errno set. */
bool shim_fails(enum function f, const void *caller);
/* Whether it is the gateway itself that calls. */
bool shim_is_ours(const void *caller);
/* Of a signalfd or an eventfd, which never have the errors of files. */
bool shim_is_anonymous(int fd);

/* How much is read: at most a byte of a stream or of a file at a time. */
size_t shim_shortened(int fd, size_t n);
/* How much is written. (Much of it goes whole, or nothing would ever become a stream that is spliced.) */
size_t shim_given(int fd, size_t n);
/* How much is spliced: from a socket the whole, or there would never be a stream. */
size_t shim_spliced(int to, size_t n);
struct iovec shim_first_of(int fd, const struct iovec *parts, bool gives);
/* Of several parts, a part of the first; `one` has room for it. Records stay whole. */
struct msghdr shim_part_of(int fd, const struct msghdr *message, struct iovec *one, bool gives);

#pragma GCC visibility pop

#define HERE __builtin_return_address(0)

#define WRAP(type, name, failure, parameters, ...)                                                           \
    type name parameters                                                                                     \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)shim_find(#name);                                                     \
        }                                                                                                    \
        return shim_fails(F_##name, HERE) ? failure : next(__VA_ARGS__);                                     \
    }

/* With a descriptor, as its first argument. */
#define WRAP_IO(type, name, parameters, ...)                                                                 \
    type name parameters                                                                                     \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)shim_find(#name);                                                     \
        }                                                                                                    \
        return !shim_is_anonymous(fd) && shim_fails(F_##name, HERE) ? -1 : next(__VA_ARGS__);                \
    }

/* The same under the name that _FORTIFY_SOURCE gives it. */
#define WRAP_AS(type, alias, name, failure, parameters, ...)                                                 \
    type alias parameters;                                                                                   \
    type alias parameters                                                                                    \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)shim_find(#alias);                                                    \
        }                                                                                                    \
        return shim_fails(F_##name, HERE) ? failure : next(__VA_ARGS__);                                     \
    }

#endif
