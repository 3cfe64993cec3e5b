/* Stands between the gateway and what it calls (LD_PRELOAD): counts the calls of each function in a table
 * that all its processes share, and makes chosen ones fail as the manual allows. tests/faults/run drives it.
 *
 *   FAULTS_TABLE    a file of TABLE_BYTES zeros; without it every call goes through
 *   FAULTS_POINT    ROW:FIRST:COUNT:ERRNO, the calls to fail; with 1000 for ERRNO they never come back
 *   FAULTS_MODE     eintr: every other call that may be interrupted is; short: no stream takes or gives more
 *                   than a byte at a time, no wait tells of more than one event; half: streams and pipes take
 *                   half of what they are given
 *
 * A function has two rows: calls from the gateway itself, and those that libraries make for it (NAME@lib). */
#include "shim.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ROWS_MAX = 2 * FUNCTION_COUNT,
    NAME_MAX_BYTES = 48,
    TABLE_BYTES = 65536,
    ARENA_BYTES = 1 << 16,
    MUCH_BYTES = 1 << 14,
    HANGS = 1000
};

struct row {
    char name[NAME_MAX_BYTES];
    _Atomic uint64_t calls;
    _Atomic uint64_t failed;
};

static struct row *rows; /* NULL: every call goes through */
static unsigned point_row = ROWS_MAX;
static uint64_t point_first, point_count;
int shim_errno;
static bool interrupts;
bool shim_shortens, shim_halves;
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

void *shim_find(const char *name)
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

bool shim_is_anonymous(int fd)
{
    struct stat facts;
    return syscall(SYS_fstat, fd, &facts) == 0 && (facts.st_mode & S_IFMT) == 0;
}

bool shim_fails(enum function f, const void *caller)
{
    if (rows == NULL) {
        return false;
    }
    unsigned at = 2U * (unsigned)f + (shim_is_ours(caller) ? 0U : 1U);
    uint64_t call = atomic_fetch_add(&rows[at].calls, 1) + 1;
    bool hit = at == point_row && call >= point_first && call - point_first < point_count;
    if (interrupts && call % 2 != 0 && may_be_interrupted(f)) {
        atomic_fetch_add(&rows[at].failed, 1);
        errno = EINTR;
        return true;
    }
    if (hit) {
        atomic_fetch_add(&rows[at].failed, 1);
        while (shim_errno == HANGS) {
            (void)pause();
        }
        if (f >= F_SSL_new) {
            raise_openssl_error();
        }
        errno = shim_errno;
    }
    return hit;
}

bool shim_is_ours(const void *caller)
{
    return (uintptr_t)caller >= text_begin && (uintptr_t)caller < text_end;
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
        if (sscanf(point, "%u:%llu:%llu:%d", &point_row, &first, &count, &shim_errno) == 4) {
            point_first = first;
            point_count = count;
        }
    }
    interrupts = mode != NULL && strcmp(mode, "eintr") == 0;
    shim_shortens = mode != NULL && strcmp(mode, "short") == 0;
    shim_halves = mode != NULL && strcmp(mode, "half") == 0;
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

size_t shim_shortened(int fd, size_t n)
{
    return shim_shortens && n > 1 && is_cut(fd, true) ? cut(F_recv, 1) : n;
}

/* The same of what is given. (Much of it goes whole, or nothing would ever become a stream that is spliced.)
 */
size_t shim_given(int fd, size_t n)
{
    return shim_halves && n > 1 && n < MUCH_BYTES && is_cut(fd, false) ? cut(F_send, n / 2)
                                                                       : shim_shortened(fd, n);
}

struct iovec shim_first_of(int fd, const struct iovec *parts, bool gives)
{
    struct iovec one = *parts;
    one.iov_len = gives ? shim_given(fd, one.iov_len) : shim_shortened(fd, one.iov_len);
    return one;
}

struct msghdr shim_part_of(int fd, const struct msghdr *message, struct iovec *one, bool gives)
{
    struct msghdr part = *message;
    if ((shim_shortens || shim_halves) && part.msg_iovlen > 0 && is_cut(fd, false)) {
        *one = shim_first_of(fd, part.msg_iov, gives);
        part.msg_iov = one;
        part.msg_iovlen = 1;
    }
    return part;
}

size_t shim_spliced(int to, size_t n)
{
    return (shim_halves || shim_shortens) && n > 1 && is_cut(to, false) ? cut(F_splice, (n + 1) / 2) : n;
}

/* ---- Memory. */

#ifndef FAULTS_SPARE_MEMORY /* below a sanitizer, whose own malloc(3) is not ready for what stands before it \
                             */
void *malloc(size_t n)
{
    static void *(*next)(size_t);
    if (searching) {
        return arena_take(n);
    }
    if (next == NULL) {
        next = (void *(*)(size_t))shim_find("malloc");
    }
    return shim_fails(F_malloc, HERE) ? NULL : next(n);
}

void *calloc(size_t count, size_t n)
{
    static void *(*next)(size_t, size_t);
    if (searching) {
        return arena_take(count * n);
    }
    if (next == NULL) {
        next = (void *(*)(size_t, size_t))shim_find("calloc");
    }
    return shim_fails(F_calloc, HERE) ? NULL : next(count, n);
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
        next = (void *(*)(void *, size_t))shim_find("realloc");
    }
    return shim_fails(F_realloc, HERE) ? NULL : next(p, n);
}

void free(void *p)
{
    static void (*next)(void *);
    if (p == NULL || in_arena(p)) {
        return;
    }
    if (next == NULL) {
        next = (void (*)(void *))shim_find("free");
    }
    next(p);
}

WRAP(void *, reallocarray, NULL, (void *p, size_t count, size_t n), p, count, n)
#endif
