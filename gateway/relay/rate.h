/* Bytes a second of one direction of one session: a token bucket of one second's worth.
 *
 * What counts is what is read from the direction's source: of a client its frames, with their headers. A
 * direction without tokens does not read, so its peer is held by TCP's own window; it reads again when the
 * worth of RATE_STEP_MS has gathered: a limit costs a few wakes a second, and holds nobody for so long that
 * he would seem silent or idle. Pure: the time is handed in. */
#ifndef SLUICE_RELAY_RATE_H
#define SLUICE_RELAY_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RATE_STEP_MS = 50,
    RATE_BURST_LEAST = 16 * 1024, /* of a slow one: a read at once */
};

struct rate_bucket {
    uint64_t bytes_a_second; /* 0: no limit */
    uint64_t tokens;         /* thousandths of bytes, at `filled_ms` */
    uint64_t filled_ms;
};

struct session_rate {
    struct rate_bucket up;
    struct rate_bucket down;
};

/* Full; SIZE_OFF (rules.h): without a limit. */
void rate_init(struct rate_bucket *bucket, uint64_t bytes_a_second, uint64_t now_ms);

/* How much may be read now, at most `cap_bytes`; 0: wait until rate_due_ms. */
size_t rate_allows(const struct rate_bucket *bucket, size_t cap_bytes, uint64_t now_ms);

/* `n` bytes, no more than rate_allows said, were read. */
void rate_take(struct rate_bucket *bucket, size_t n, uint64_t now_ms);

/* When something may be read again: after `now_ms`, or CLOCK_NEVER where that is now. */
uint64_t rate_due_ms(const struct rate_bucket *bucket, uint64_t now_ms);

#endif
