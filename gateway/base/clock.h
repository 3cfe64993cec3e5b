/* The time, in milliseconds. Everything that measures spans takes the monotonic one. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX

/* Since an arbitrary start; never goes back (CLOCK_MONOTONIC). */
uint64_t clock_now_ms(void);

/* Since 1970-01-01 00:00 UTC. */
uint64_t clock_wall_ms(void);

/* `wall_ms` as "2026-01-02T03:04:05.678Z" (RFC 3339); `out` holds at least 25 bytes. */
void clock_rfc3339(uint64_t wall_ms, char *out, size_t cap);

#endif
