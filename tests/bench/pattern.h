/* What every byte of a stream has to be, by its place: both ends know it, so that a lost, added or changed
 * byte fails the run. A period of 192 KiB of noise; whole periods that get lost are found by counting bytes.
 */
#ifndef SLUICE_BENCH_PATTERN_H
#define SLUICE_BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATTERN_LEN = 3 * 64 * 1024 };

/* Once, before the rest. */
void pattern_init(void);

/* PATTERN_LEN bytes, from this place of a stream on. */
const uint8_t *pattern_at(uint64_t position);

/* Whether `n` bytes are what belongs there. */
bool pattern_holds(uint64_t position, const uint8_t *bytes, size_t n);

#endif
