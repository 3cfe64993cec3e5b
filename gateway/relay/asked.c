#include "relay/asked.h"
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* All that tells one from another; without holes, so that its bytes can be compared. */
struct key {
    uint32_t authority_len;
    uint32_t host_len;
    uint32_t path_len;
    uint32_t origin_len;
    uint32_t subprotocols_len;
    uint32_t subprotocol_len;
    uint16_t port;
    uint16_t has_origin;
};
_Static_assert(sizeof(struct key) == 28, "no holes");

struct asked {
    uint32_t sessions;
    struct key key;
    char bytes[]; /* one behind the other, in the order of the key */
};

static size_t bytes_len(const struct key *key)
{
    return (size_t)key->authority_len + key->path_len + key->origin_len + key->subprotocols_len +
           key->subprotocol_len;
}

static int compare(const void *left, const void *right)
{
    const struct asked *a = left;
    const struct asked *b = right;
    int order = memcmp(&a->key, &b->key, sizeof a->key);
    return order != 0 ? order : memcmp(a->bytes, b->bytes, bytes_len(&a->key));
}

static void put(struct asked *asked, size_t *at, struct slice text)
{
    if (text.len > 0) {
        memcpy(asked->bytes + *at, text.p, text.len);
        *at += text.len;
    }
}

static struct asked *copy_of(const struct asked_words *words)
{
    struct key key = {
        .authority_len = (uint32_t)words->authority.len,
        .host_len = (uint32_t)words->host_len,
        .path_len = (uint32_t)words->path.len,
        .origin_len = (uint32_t)words->origin.len,
        .subprotocols_len = (uint32_t)words->subprotocols.len,
        .subprotocol_len = (uint32_t)words->subprotocol.len,
        .port = words->port,
        .has_origin = words->has_origin,
    };
    struct asked *asked = malloc(sizeof *asked + bytes_len(&key));
    if (asked == NULL) {
        return NULL;
    }
    size_t at = 0;
    asked->sessions = 0;
    asked->key = key;
    put(asked, &at, words->authority);
    put(asked, &at, words->path);
    put(asked, &at, words->origin);
    put(asked, &at, words->subprotocols);
    put(asked, &at, words->subprotocol);
    return asked;
}

struct asked *asked_take(struct asked_book *book, const struct asked_words *words)
{
    struct asked *copy = copy_of(words);
    struct asked **node = copy != NULL ? tsearch(copy, &book->root, compare) : NULL;
    struct asked *there = node != NULL ? *node : NULL;
    if (there != copy) {
        free(copy);
    }
    if (there != NULL) {
        there->sessions++;
    }
    return there;
}

void asked_give(struct asked_book *book, struct asked *asked)
{
    if (asked != NULL && --asked->sessions == 0) {
        (void)tdelete(asked, &book->root, compare);
        free(asked);
    }
}

static struct slice next(const char **at, size_t len)
{
    struct slice text = {*at, len};
    *at += len;
    return text;
}

struct asked_words asked_words(const struct asked *asked)
{
    const struct key *key = &asked->key;
    const char *at = asked->bytes;
    struct asked_words words = {
        .host_len = key->host_len,
        .port = key->port,
        .has_origin = key->has_origin != 0,
    };
    words.authority = next(&at, key->authority_len);
    words.path = next(&at, key->path_len);
    words.origin = next(&at, key->origin_len);
    words.subprotocols = next(&at, key->subprotocols_len);
    words.subprotocol = next(&at, key->subprotocol_len);
    return words;
}
