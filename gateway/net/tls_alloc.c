/* OpenSSL's memory. With SSL_MODE_RELEASE_BUFFERS a connection owns no record buffer between two calls, which
 * is what lets an idle one be small; but then each read and each write takes one from malloc(3), and each
 * record written a few scraps beside it. Some blocks of both sizes are kept here for all connections of a
 * thread, so that relaying a frame allocates nothing. All are blocks of malloc(3), and any may go back there.
 */
#include "net/tls_internal.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* those look at each use of each block  \
                                                                     */

enum { KEPT_MAX = 8 };

struct kind {
    size_t least; /* what is asked for is one of these, from here ... */
    size_t bytes; /* ... to here, and is made so large */
    size_t slack; /* malloc(3) may give so much more */
    unsigned count;
    void *blocks[KEPT_MAX];
};

static _Thread_local bool wiping;
static _Thread_local struct kind scraps = {.least = 33, .bytes = 40, .slack = 15};
static _Thread_local struct kind records = {.least = 16 << 10, .bytes = 18 << 10, .slack = 63};

static void *take_of(struct kind *kind)
{
    return kind->count > 0 ? kind->blocks[--kind->count] : malloc(kind->bytes);
}

static bool is_of(const struct kind *kind, size_t n)
{
    return n >= kind->bytes && n <= kind->bytes + kind->slack;
}

static void give_to(struct kind *kind, void *block)
{
    if (kind->count < KEPT_MAX) {
        kind->blocks[kind->count++] = block;
    } else {
        free(block);
    }
}

static void *take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    if (n >= scraps.least && n <= scraps.bytes) {
        return take_of(&scraps);
    }
    return n >= records.least && n <= records.bytes ? take_of(&records) : malloc(n);
}

static void *take_again(void *block, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    if (!wiping || block == NULL) {
        return realloc(block, n);
    }
    size_t had = malloc_usable_size(block);
    void *other = malloc(n);
    if (other != NULL) {
        memcpy(other, block, had < n ? had : n);
        OPENSSL_cleanse(block, had);
        free(block);
    }
    return other;
}

/* Whatever is of the size will do, whoever asked for it. */
static void give(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t n = block != NULL ? malloc_usable_size(block) : 0;
    if (wiping && n > 0) {
        OPENSSL_cleanse(block, n);
    }
    if (is_of(&scraps, n)) {
        give_to(&scraps, block);
    } else if (is_of(&records, n)) {
        give_to(&records, block);
    } else {
        free(block);
    }
}

/* Before OpenSSL has allocated anything, or it refuses; then it goes on with malloc(3). */
__attribute__((constructor)) static void begin(void)
{
    (void)CRYPTO_set_mem_functions(take, take_again, give);
}

void tls_alloc_wipe(bool wipes)
{
    wiping = wipes;
}

static void empty(struct kind *kind)
{
    while (kind->count > 0) {
        free(kind->blocks[--kind->count]);
    }
}

void tls_alloc_thread_fini(void)
{
    empty(&scraps);
    empty(&records);
}

#else

void tls_alloc_wipe(bool wipes)
{
    (void)wipes;
}

void tls_alloc_thread_fini(void)
{
}

#endif

void tls_alloc_release(SSL *ssl)
{
    bool in_use = SSL_pending(ssl) > 0 || strcmp(SSL_rstate_string(ssl), "RB") == 0; /* a header came */
    if (!in_use) {
        (void)SSL_free_buffers(ssl);
    }
}
