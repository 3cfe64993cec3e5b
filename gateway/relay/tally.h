/* What a worker counts: one writer, in memory that other processes read while it writes. Each number is whole
 * by itself; they need not fit each other at every instant.
 *
 * It lies in memory shared between processes, holds no pointer, and is all zero before its first count. Rows
 * are of route names, which the routes of several generations share, so a row outlives a reload. */
#ifndef SLUICE_RELAY_TALLY_H
#define SLUICE_RELAY_TALLY_H

#include "rules/cause.h"
#include <stdatomic.h>
#include <stdint.h>

enum {
    TALLY_ROWS = 1024, /* route names; the last row is of all that found no other */
    TALLY_BUCKETS = 12,
    TALLY_STATUSES = 16,
};

typedef _Atomic uint64_t tally_count; /* the one typedef: a word, not a struct */

/* Upper bounds, themselves included, are in tally_*_bounds_ms; the bucket behind the last has no bound. Not
 * cumulative. */
struct tally_histogram {
    tally_count buckets[TALLY_BUCKETS + 1];
    tally_count sum_us;
};

struct tally_row {
    tally_count sessions;  /* now */
    tally_count lingering; /* now: targets of sessions that are over (relay.h) */
    tally_count ended[CAUSE_COUNT];
    tally_count up_bytes;
    tally_count down_bytes;
    tally_count up_stalled_ms;      /* waited for targets to take bytes */
    tally_count down_stalled_ms;    /* waited for clients to take bytes */
    tally_count target_failed;      /* connections to targets that failed, also where another target served */
    struct tally_histogram connect; /* of the target */
    struct tally_histogram session; /* its whole life */
    struct tally_histogram ping;    /* round trips to the client */
};

struct tally {
    tally_count sessions; /* now, of all rows */
    tally_count lingering;
    tally_count connections; /* now: accepted and not closed, with or without a session */
    tally_count accepted;
    tally_count refused[TALLY_STATUSES]; /* by tally_status_at */
    tally_count proxy_refused;           /* connections without the PROXY header that was asked for */
    tally_count tls_failed;
    tally_count log_lost;
    struct tally_row rows[TALLY_ROWS];
};

extern const uint32_t tally_connect_bounds_ms[TALLY_BUCKETS];
extern const uint32_t tally_session_bounds_ms[TALLY_BUCKETS];
extern const uint32_t tally_ping_bounds_ms[TALLY_BUCKETS];

/* The HTTP status that `refused[index]` counts; 0 behind the last. A status that is not listed is counted in
 * the row of 500. */
uint16_t tally_status_at(unsigned index);

/* One writer: a load and a store, no locked instruction. */
static inline void tally_add(tally_count *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Of what is there now: a session fewer. */
static inline void tally_take(tally_count *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - n, memory_order_relaxed);
}

static inline uint64_t tally_read(const tally_count *count)
{
    return atomic_load_explicit((tally_count *)count, memory_order_relaxed);
}

void tally_refused(struct tally *tally, uint16_t status);
void tally_observe(struct tally_histogram *histogram, const uint32_t bounds_ms[TALLY_BUCKETS], uint64_t us);

#endif
