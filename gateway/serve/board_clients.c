/* The tables of clients: how many sessions each has, and how many new ones it may have now. An address is
 * known by a keyed hash (SipHash-2-4), so nobody can choose addresses that meet in one place. */
#include "serve/board.h"
#include <string.h>

enum {
    PROBES = 64,     /* places in a worker's table where a client may stand, one behind the other */
    BUCKET_WAYS = 8, /* places in the table of new sessions */
    V6_CLIENT_BYTES = 8,
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

/* Never 0. IPv6 addresses of one /64 are one client. */
static uint64_t hash_client(const struct board *board, const struct ip_addr *client)
{
    struct ip_addr addr = *client;
    if (!ip_is_v4(&addr)) {
        memset(addr.bytes + V6_CLIENT_BYTES, 0, sizeof addr.bytes - V6_CLIENT_BYTES);
    }
    uint64_t words[3] = {0, 0, (uint64_t)sizeof addr.bytes << 56};
    memcpy(words, addr.bytes, sizeof addr.bytes);
    const uint64_t *key = board->head->hash_key;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
        key[1] ^ 0x7465646279746573};
    for (size_t i = 0; i < 3; i++) {
        v[3] ^= words[i];
        sip_rounds(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    uint64_t hash = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash != 0 ? hash : 1;
}

/* ---- Sessions of a client now. */

static struct board_client *place(const struct board *board, unsigned slot, uint64_t hash, unsigned probe)
{
    return &board->clients[(size_t)slot * BOARD_SLOT_CLIENTS + ((hash + probe) & (BOARD_SLOT_CLIENTS - 1))];
}

/* The client's own entry in a slot, or NULL. */
static struct board_client *find(const struct board *board, unsigned slot, uint64_t hash)
{
    for (unsigned probe = 0; probe < PROBES; probe++) {
        struct board_client *entry = place(board, slot, hash, probe);
        uint64_t found = atomic_load_explicit(&entry->hash, memory_order_acquire);
        if (found == hash) {
            return entry;
        }
        if (found == 0) {
            return NULL;
        }
    }
    return NULL;
}

/* Its entry, or a new one in the first place that nobody counts in; NULL: there is none. The owner's alone.
 */
static struct board_client *find_or_take(const struct board *board, unsigned slot, uint64_t hash)
{
    struct board_client *free_one = NULL;
    for (unsigned probe = 0; probe < PROBES; probe++) {
        struct board_client *entry = place(board, slot, hash, probe);
        uint64_t found = atomic_load_explicit(&entry->hash, memory_order_relaxed);
        if (found == hash) {
            return entry;
        }
        if (free_one == NULL && atomic_load_explicit(&entry->count, memory_order_relaxed) == 0) {
            free_one = entry;
        }
        if (found == 0) {
            break;
        }
    }
    if (free_one != NULL) {
        atomic_store_explicit(&free_one->hash, hash, memory_order_release);
    }
    return free_one;
}

/* An entry that went to another client between two looks at it counts nothing. */
static uint64_t count_in(const struct board *board, unsigned slot, uint64_t hash)
{
    const struct board_client *entry = find(board, slot, hash);
    if (entry == NULL) {
        return 0;
    }
    uint64_t count = atomic_load_explicit(&entry->count, memory_order_acquire);
    return atomic_load_explicit(&entry->hash, memory_order_relaxed) == hash ? count : 0;
}

static unsigned own_slot(const struct census *census)
{
    const struct board *board = census->context;
    return (unsigned)(census->own - board->tallies);
}

/* The own count is there for all to see before the others are read (seq_cst): of two workers that count one
 * client at once, at least one sees both. */
static bool client_enter(const struct census *census, const struct ip_addr *client, uint64_t max)
{
    const struct board *board = census->context;
    uint64_t hash = hash_client(board, client);
    unsigned own = own_slot(census);
    struct board_client *entry = find_or_take(board, own, hash);
    if (entry == NULL) {
        return false;
    }
    uint64_t sum = atomic_fetch_add(&entry->count, 1) + 1;
    unsigned used = board_slots_used(board);
    for (unsigned slot = 0; slot < used && sum <= max; slot++) {
        if (slot != own && atomic_load_explicit(&board->head->slots[slot].pid, memory_order_relaxed) != 0) {
            sum += count_in(board, slot, hash);
        }
    }
    if (sum > max) {
        atomic_fetch_sub(&entry->count, 1);
        return false;
    }
    return true;
}

static void client_leave(const struct census *census, const struct ip_addr *client)
{
    const struct board *board = census->context;
    struct board_client *entry = find(board, own_slot(census), hash_client(board, client));
    if (entry != NULL && atomic_load_explicit(&entry->count, memory_order_relaxed) > 0) {
        atomic_fetch_sub(&entry->count, 1);
    }
}

/* ---- New sessions of a client: GCRA. A client's arrival time moves on by one interval for each session, and
 * may be ahead of the clock by one whole `per_ms`. */

enum { TIME_BITS = 44, TICKS_A_MS = 16 }; /* 34 years */

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

/* The word of this client among those where it may stand; else the one whose time is least: who loses it has
 * the most left anyway. */
static board_bucket *bucket_of(const struct board *board, uint64_t hash)
{
    board_bucket *set = &board->buckets[hash % (BOARD_BUCKETS / BUCKET_WAYS) * BUCKET_WAYS];
    board_bucket *least = set;
    for (unsigned way = 0; way < BUCKET_WAYS; way++) {
        uint64_t word = atomic_load(&set[way]);
        if (word != 0 && word >> TIME_BITS == hash >> TIME_BITS) {
            return &set[way];
        }
        if ((word & TIME_MASK) < (atomic_load(least) & TIME_MASK)) {
            least = &set[way];
        }
    }
    return least;
}

static bool client_new(
    const struct census *census, const struct ip_addr *client, struct rate_rule rate, uint64_t now_ms)
{
    const struct board *board = census->context;
    if (rate.count == 0) {
        return true;
    }
    uint64_t hash = hash_client(board, client);
    uint64_t now = now_ms * TICKS_A_MS & TIME_MASK;
    uint64_t whole = (uint64_t)rate.per_ms * TICKS_A_MS;
    uint64_t interval = whole / rate.count > 0 ? whole / rate.count : 1;
    for (;;) {
        board_bucket *bucket = bucket_of(board, hash);
        uint64_t word = atomic_load(bucket);
        bool own = word != 0 && word >> TIME_BITS == hash >> TIME_BITS;
        uint64_t arrival = own && (word & TIME_MASK) > now ? word & TIME_MASK : now;
        if (arrival + interval > now + whole) {
            return false;
        }
        uint64_t next = hash >> TIME_BITS << TIME_BITS | ((arrival + interval) & TIME_MASK);
        if (atomic_compare_exchange_strong(bucket, &word, next)) {
            return true;
        }
    }
}

void board_census_clients(struct census *census)
{
    census->client_enter = client_enter;
    census->client_leave = client_leave;
    census->client_new = client_new;
}
