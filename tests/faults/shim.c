/* Stands between the gateway and what it calls (LD_PRELOAD): counts the calls of each function in a table
 * that all its processes share, and makes chosen ones fail as the manual allows. tests/faults/run drives it.
 *
 *   FAULTS_TABLE    a file of TABLE_BYTES zeros; without it every call goes through
 *   FAULTS_POINT    ROW:FIRST:COUNT:ERRNO, the calls to fail
 *   FAULTS_MODE     eintr: every other call that may be interrupted is; short: no stream takes or gives more
 *                   than a byte at a time, no wait tells of more than one event; half: streams and pipes take
 *                   half of what they are given
 *
 * A function has two rows: calls from the gateway itself, and those that libraries make for it (NAME@lib). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* clang-format off */
#define FUNCTIONS(X) \
    X(malloc) X(calloc) X(realloc) X(reallocarray) X(mmap) \
    X(accept4) X(bind) X(connect) X(listen) X(socket) X(socketpair) X(shutdown) \
    X(getsockname) X(getsockopt) X(setsockopt) X(recv) X(recvmsg) X(send) X(sendmsg) X(sendto) \
    X(read) X(write) X(readv) X(writev) X(pread) X(splice) X(pipe2) X(poll) X(epoll_create1) X(epoll_ctl) \
    X(epoll_wait) X(open) X(openat) X(syscall) X(fstat) X(stat) X(lstat) X(fchmodat) X(fcntl) X(dup) \
    X(ioctl) X(fork) X(getaddrinfo) X(pthread_create) X(prctl) X(getpwnam) X(initgroups) X(setresgid) \
    X(setresuid) X(gethostname) X(fdopen) X(open_memstream) \
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

enum {
    ROWS_MAX = 2 * FUNCTION_COUNT,
    NAME_MAX_BYTES = 48,
    TABLE_BYTES = 65536,
    ARENA_BYTES = 1 << 16,
    MUCH_BYTES = 1 << 14
};

struct row {
    char name[NAME_MAX_BYTES];
    _Atomic uint64_t calls;
    _Atomic uint64_t failed;
};

static struct row *rows; /* NULL: every call goes through */
static unsigned point_row = ROWS_MAX;
static uint64_t point_first, point_count;
static int point_errno;
static bool interrupts, shortens, halves;
static uintptr_t text_begin, text_end; /* of the gateway */

#ifndef FAULTS_SPARE_MEMORY
/* Until dlsym(3) has answered, which may allocate for itself. */
static _Alignas(16) char arena[ARENA_BYTES];
static size_t arena_used;

static bool in_arena(const void *p)
{
    return (const char *)p >= arena && (const char *)p < arena + ARENA_BYTES;
}

static void *arena_take(size_t n)
{
    size_t at = (arena_used + 15) & ~(size_t)15;
    if (at + n > ARENA_BYTES) {
        _exit(125);
    }
    arena_used = at + n;
    return arena + at;
}
#endif

static __thread bool searching;

static void *find(const char *name)
{
    searching = true;
    void *next = dlsym(RTLD_NEXT, name);
    searching = false;
    if (next == NULL) {
        _exit(125);
    }
    return next;
}

/* Raises what OpenSSL would: a call that fails without an error reads as one that wants to go on. */
static void raise_openssl_error(void)
{
    void (*new_error)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "ERR_new");
    void (*set_error)(int, int, const char *, ...) =
        (void (*)(int, int, const char *, ...))dlsym(RTLD_DEFAULT, "ERR_set_error");
    if (new_error != NULL && set_error != NULL) {
        new_error();
        set_error(20 /* ERR_LIB_SSL */, 256 | (0x2 << 18) /* ERR_R_MALLOC_FAILURE */, NULL);
    }
}

/* Nothing that the gateway waits in or that a signal could cut: it blocks its signals and has no handlers, so
 * that only being stopped and continued is left (signal(7)). */
static bool may_be_interrupted(enum function f)
{
    switch ((int)f) {
    case F_accept4:
    case F_connect:
    case F_pread:
    case F_readv:
    case F_recv:
    case F_recvmsg:
    case F_send:
    case F_sendmsg:
    case F_sendto:
    case F_read:
    case F_splice:
    case F_write:
    case F_writev:
    case F_poll:
    case F_epoll_wait:
        return true;
    }
    return false;
}

/* Of a signalfd or an eventfd, which never have the errors of files. */
static bool is_anonymous(int fd)
{
    struct stat facts;
    return syscall(SYS_fstat, fd, &facts) == 0 && (facts.st_mode & S_IFMT) == 0;
}

/* Counts the call. True: it fails, with errno set. */
static bool fails(enum function f, const void *caller)
{
    if (rows == NULL) {
        return false;
    }
    uintptr_t from = (uintptr_t)caller;
    unsigned at = 2U * (unsigned)f + (from >= text_begin && from < text_end ? 0U : 1U);
    uint64_t call = atomic_fetch_add(&rows[at].calls, 1) + 1;
    bool hit = at == point_row && call >= point_first && call - point_first < point_count;
    if (interrupts && call % 2 != 0 && may_be_interrupted(f)) {
        atomic_fetch_add(&rows[at].failed, 1);
        errno = EINTR;
        return true;
    }
    if (hit) {
        atomic_fetch_add(&rows[at].failed, 1);
        if (f >= F_SSL_new) {
            raise_openssl_error();
        }
        errno = point_errno;
    }
    return hit;
}

/* ---- Beginning. */

static int find_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            text_begin = info->dlpi_addr + part->p_vaddr;
            text_end = text_begin + part->p_memsz;
        }
    }
    return 1; /* the program is the first */
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const names[] = {
#define NAME(name) #name,
        FUNCTIONS(NAME)};
    const char *file = getenv("FAULTS_TABLE");
    const char *point = getenv("FAULTS_POINT");
    const char *mode = getenv("FAULTS_MODE");
    int fd = file != NULL ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0) {
        return;
    }
    void *table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (table == MAP_FAILED) {
        return;
    }
    struct row *shared = table;
    (void)dl_iterate_phdr(find_text, NULL);
    if (point != NULL) {
        unsigned long long first, count;
        if (sscanf(point, "%u:%llu:%llu:%d", &point_row, &first, &count, &point_errno) == 4) {
            point_first = first;
            point_count = count;
        }
    }
    interrupts = mode != NULL && strcmp(mode, "eintr") == 0;
    shortens = mode != NULL && strcmp(mode, "short") == 0;
    halves = mode != NULL && strcmp(mode, "half") == 0;
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        (void)snprintf(shared[i].name, NAME_MAX_BYTES, "%s%s", names[i / 2], i % 2 != 0 ? "@lib" : "");
    }
    rows = shared;
}

static bool is_cut(int fd, bool files)
{
    struct stat facts;
    int type = 0;
    socklen_t len = sizeof type;
    if (rows == NULL || syscall(SYS_fstat, fd, &facts) != 0) {
        return false;
    }
    return (files && S_ISREG(facts.st_mode)) ||
           (S_ISSOCK(facts.st_mode) && syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
               type == SOCK_STREAM);
}

static size_t cut(enum function f, size_t n)
{
    atomic_fetch_add(&rows[2 * f].failed, 1); /* it is told that something was */
    return n;
}

/* At most a byte of a stream or of a file at a time. */
static size_t shortened(int fd, size_t n)
{
    return shortens && n > 1 && is_cut(fd, true) ? cut(F_recv, 1) : n;
}

/* The same of what is given. (Much of it goes whole, or nothing would ever become a stream that is spliced.)
 */
static size_t given(int fd, size_t n)
{
    return halves && n > 1 && n < MUCH_BYTES && is_cut(fd, false) ? cut(F_send, n / 2) : shortened(fd, n);
}

static struct iovec first_of(int fd, const struct iovec *parts, bool gives)
{
    struct iovec one = *parts;
    one.iov_len = gives ? given(fd, one.iov_len) : shortened(fd, one.iov_len);
    return one;
}

/* Of several parts, a part of the first; `one` has room for it. Records stay whole. */
static struct msghdr part_of(int fd, const struct msghdr *message, struct iovec *one, bool gives)
{
    struct msghdr part = *message;
    if ((shortens || halves) && part.msg_iovlen > 0 && is_cut(fd, false)) {
        *one = first_of(fd, part.msg_iov, gives);
        part.msg_iov = one;
        part.msg_iovlen = 1;
    }
    return part;
}

/* From a socket the whole of it, or there would never be a stream. */
static size_t spliced(int to, size_t n)
{
    return (halves || shortens) && n > 1 && is_cut(to, false) ? cut(F_splice, (n + 1) / 2) : n;
}

/* ---- The functions. */

#define HERE __builtin_return_address(0)

#define WRAP(type, name, failure, parameters, ...)                                                           \
    type name parameters                                                                                     \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)find(#name);                                                          \
        }                                                                                                    \
        return fails(F_##name, HERE) ? failure : next(__VA_ARGS__);                                          \
    }

/* With a descriptor, as its first argument. */
#define WRAP_IO(type, name, parameters, ...)                                                                 \
    type name parameters                                                                                     \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)find(#name);                                                          \
        }                                                                                                    \
        return !is_anonymous(fd) && fails(F_##name, HERE) ? -1 : next(__VA_ARGS__);                          \
    }

/* The same under the name that _FORTIFY_SOURCE gives it. */
#define WRAP_AS(type, alias, name, failure, parameters, ...)                                                 \
    type alias parameters;                                                                                   \
    type alias parameters                                                                                    \
    {                                                                                                        \
        static type(*next) parameters;                                                                       \
        if (next == NULL) {                                                                                  \
            next = (type(*) parameters)find(#alias);                                                         \
        }                                                                                                    \
        return fails(F_##name, HERE) ? failure : next(__VA_ARGS__);                                          \
    }

#ifndef FAULTS_SPARE_MEMORY /* below a sanitizer, whose own malloc(3) is not ready for what stands before it \
                             */
void *malloc(size_t n)
{
    static void *(*next)(size_t);
    if (searching) {
        return arena_take(n);
    }
    if (next == NULL) {
        next = (void *(*)(size_t))find("malloc");
    }
    return fails(F_malloc, HERE) ? NULL : next(n);
}

void *calloc(size_t count, size_t n)
{
    static void *(*next)(size_t, size_t);
    if (searching) {
        return arena_take(count * n);
    }
    if (next == NULL) {
        next = (void *(*)(size_t, size_t))find("calloc");
    }
    return fails(F_calloc, HERE) ? NULL : next(count, n);
}

void *realloc(void *p, size_t n)
{
    static void *(*next)(void *, size_t);
    if (searching || in_arena(p)) {
        void *moved = arena_take(n);
        if (p != NULL) {
            memcpy(moved, p, n); /* maybe too much, and all of it in the arena */
        }
        return moved;
    }
    if (next == NULL) {
        next = (void *(*)(void *, size_t))find("realloc");
    }
    return fails(F_realloc, HERE) ? NULL : next(p, n);
}

void free(void *p)
{
    static void (*next)(void *);
    if (p == NULL || in_arena(p)) {
        return;
    }
    if (next == NULL) {
        next = (void (*)(void *))find("free");
    }
    next(p);
}

WRAP(void *, reallocarray, NULL, (void *p, size_t count, size_t n), p, count, n)
#endif

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
        next = (int (*)(int, const struct sockaddr *, socklen_t))find("connect");
    }
    if (!fails(F_connect, HERE)) {
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
WRAP(ssize_t, recv, -1, (int fd, void *to, size_t n, int flags), fd, to, shortened(fd, n), flags)
WRAP_AS(ssize_t, __recv_chk, recv, -1, (int fd, void *to, size_t n, size_t room, int flags), fd, to,
    shortened(fd, n), room, flags)

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*next)(int, struct msghdr *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, struct msghdr *, int))find("recvmsg");
    }
    if (fails(F_recvmsg, HERE)) {
        return -1;
    }
    struct iovec one;
    struct msghdr part = part_of(fd, message, &one, false);
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
        next = (ssize_t(*)(int, const struct msghdr *, int))find("sendmsg");
    }
    if (fails(F_sendmsg, HERE)) {
        return -1;
    }
    struct iovec one;
    struct msghdr part = part_of(fd, message, &one, true);
    return next(fd, &part, flags);
}

/* What streams may do with more than one part. */
ssize_t readv(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, const struct iovec *, int))find("readv");
    }
    struct iovec one = first_of(fd, parts, false);
    return fails(F_readv, HERE) ? -1 : shortens ? next(fd, &one, 1) : next(fd, parts, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    if (next == NULL) {
        next = (ssize_t(*)(int, const struct iovec *, int))find("writev");
    }
    struct iovec one = first_of(fd, parts, true);
    return fails(F_writev, HERE) ? -1 : shortens || halves ? next(fd, &one, 1) : next(fd, parts, count);
}

WRAP(ssize_t, send, -1, (int fd, const void *from, size_t n, int flags), fd, from, given(fd, n), flags)
WRAP(ssize_t, sendto, -1,
    (int fd, const void *from, size_t n, int flags, const struct sockaddr *address, socklen_t len), fd, from,
    given(fd, n), flags, address, len)
WRAP_IO(ssize_t, read, (int fd, void *to, size_t n), fd, to, shortened(fd, n))
WRAP_AS(
    ssize_t, __read_chk, read, -1, (int fd, void *to, size_t n, size_t room), fd, to, shortened(fd, n), room)
WRAP_IO(ssize_t, write, (int fd, const void *from, size_t n), fd, from, given(fd, n))
WRAP(ssize_t, pread, -1, (int fd, void *to, size_t n, off_t at), fd, to, shortened(fd, n), at)
WRAP_AS(ssize_t, __pread_chk, pread, -1, (int fd, void *to, size_t n, off_t at, size_t room), fd, to,
    shortened(fd, n), at, room)
WRAP(ssize_t, splice, -1, (int from, off64_t *at, int to, off64_t *there, size_t n, unsigned flags), from, at,
    to, there, spliced(to, n), flags)
WRAP(int, pipe2, -1, (int ends[2], int flags), ends, flags)
WRAP(int, poll, -1, (struct pollfd * fds, nfds_t count, int timeout_ms), fds, count, timeout_ms)
WRAP_AS(int, __poll_chk, poll, -1, (struct pollfd * fds, nfds_t count, int timeout_ms, size_t room), fds,
    count, timeout_ms, room)
WRAP(int, epoll_create1, -1, (int flags), flags)
WRAP(int, epoll_ctl, -1, (int epoll, int what, int fd, struct epoll_event *event), epoll, what, fd, event)
WRAP(int, epoll_wait, -1, (int epoll, struct epoll_event *events, int count, int timeout_ms), epoll, events,
    shortens ? 1 : count, timeout_ms)
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
WRAP(FILE *, open_memstream, NULL, (char **bytes, size_t *n), bytes, n)
WRAP(pid_t, fork, -1, (void), )
WRAP(int, getaddrinfo, point_errno,
    (const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
        struct addrinfo **restrict found),
    name, service, hints, found)
WRAP(int, pthread_create, point_errno,
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
    return fails(F_open, HERE) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int openat(int folder, const char *name, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails(F_openat, HERE) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (next == NULL) {
        next = (int (*)(int, unsigned long, ...))find("ioctl");
    }
    return fails(F_ioctl, HERE) ? -1 : next(fd, request, argument);
}

int fcntl(int fd, int what, ...)
{
    static int (*next)(int, int, ...);
    va_list more;
    va_start(more, what);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (next == NULL) {
        next = (int (*)(int, int, ...))find("fcntl");
    }
    return fails(F_fcntl, HERE) ? -1 : next(fd, what, argument);
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
        next = (int (*)(int, ...))find("prctl");
    }
    return fails(F_prctl, HERE) ? -1 : next(what, argument[0], argument[1], argument[2], argument[3]);
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
        next = (long (*)(long, ...))find("syscall");
    }
    bool ours = (uintptr_t)HERE >= (uintptr_t)text_begin && (uintptr_t)HERE < text_end;
    return ours && fails(F_syscall, HERE)
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
