/* The census of one worker alone. Clients are in a table of chains; one that has neither sessions nor a rate
 * to recover from is no longer there. */
#include "relay/census.h"
#include <stdlib.h>
#include <string.h>

enum { CHAINS = 1024, US_PER_MS = 1000 };

struct client {
    struct client *next;
    struct ip_addr key;
    uint64_t sessions;
    uint64_t free_us; /* when all that the rate allows is there again (GCRA) */
};

struct alone {
    struct census census;
    struct client *chains[CHAINS];
};

struct ip_addr census_client_key(const struct ip_addr *client)
{
    struct ip_addr key = *client;
    if (!ip_is_v4(client)) {
        memset(key.bytes + 8, 0, 8);
    }
    return key;
}

static struct client **chain_of(struct alone *alone, const struct ip_addr *key)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < sizeof key->bytes; i++) {
        hash = (hash ^ key->bytes[i]) * 16777619U;
    }
    return &alone->chains[hash % CHAINS];
}

/* Where the client is, or where the chain ends. */
static struct client **find(struct alone *alone, const struct ip_addr *address)
{
    struct ip_addr key = census_client_key(address);
    struct client **at = chain_of(alone, &key);
    while (*at != NULL && memcmp(&(*at)->key, &key, sizeof key) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static struct client *find_or_add(struct alone *alone, const struct ip_addr *address)
{
    struct client **at = find(alone, address);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) {
            (*at)->key = census_client_key(address);
        }
    }
    return *at;
}

/* Those of the chain that nothing is to be known of any more. */
static void sweep(struct client **at, uint64_t now_us)
{
    while (*at != NULL) {
        struct client *client = *at;
        if (client->sessions == 0 && client->free_us <= now_us) {
            *at = client->next;
            free(client);
        } else {
            at = &client->next;
        }
    }
}

static void alone_row(const struct census *census, unsigned row, uint64_t *sessions, uint64_t *lingering)
{
    *sessions = tally_read(&census->own->rows[row].sessions);
    *lingering = tally_read(&census->own->rows[row].lingering);
}

static void alone_all(const struct census *census, uint64_t *sessions, uint64_t *lingering)
{
    *sessions = tally_read(&census->own->sessions);
    *lingering = tally_read(&census->own->lingering);
}

static bool alone_enter(const struct census *census, const struct ip_addr *address, uint64_t max)
{
    struct client *client = find_or_add(census->context, address);
    if (client == NULL || client->sessions >= max) {
        return false;
    }
    client->sessions++;
    return true;
}

static void alone_leave(const struct census *census, const struct ip_addr *address)
{
    struct client **at = find(census->context, address);
    struct client *client = *at;
    if (client != NULL && --client->sessions == 0 && client->free_us == 0) {
        *at = client->next;
        free(client);
    }
}

static bool alone_new(
    const struct census *census, const struct ip_addr *address, struct rate_rule rate, uint64_t now_ms)
{
    uint64_t now_us = now_ms * US_PER_MS;
    uint64_t span_us = (uint64_t)rate.per_ms * US_PER_MS;
    struct ip_addr key = census_client_key(address);
    sweep(chain_of(census->context, &key), now_us);
    struct client *client = find_or_add(census->context, address);
    if (client == NULL) {
        return false;
    }
    uint64_t from_us = client->free_us > now_us ? client->free_us : now_us;
    uint64_t free_us = from_us + span_us / rate.count;
    if (free_us - now_us > span_us) {
        return false;
    }
    client->free_us = free_us;
    return true;
}

struct census *census_new_alone(void)
{
    struct alone *alone = calloc(1, sizeof *alone);
    struct tally *tally = calloc(1, sizeof *tally);
    if (alone == NULL || tally == NULL) {
        free(alone);
        free(tally);
        return NULL;
    }
    alone->census = (struct census){
        .own = tally,
        .row = alone_row,
        .all = alone_all,
        .client_enter = alone_enter,
        .client_leave = alone_leave,
        .client_new = alone_new,
        .context = alone,
    };
    return &alone->census;
}

void census_free_alone(struct census *census)
{
    if (census == NULL) {
        return;
    }
    struct alone *alone = census->context;
    for (size_t i = 0; i < CHAINS; i++) {
        for (struct client *client = alone->chains[i]; client != NULL;) {
            struct client *next = client->next;
            free(client);
            client = next;
        }
    }
    free(census->own);
    free(alone);
}
