/* So many in a time, over any number of processes: the generic cell rate algorithm (ITU-T I.371, annex A,
 * "virtual scheduling"). All of its state is one word, the time at which the next one were due if they came
 * evenly; who takes one moves it on by an interval. Allocates nothing, waits for nobody. */
#ifndef SLUICE_BASE_LOG_LIMIT_H
#define SLUICE_BASE_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct log_limit {
    uint64_t interval_ns; /* 0: no limit */
    uint64_t burst_ns;    /* how far ahead of evenly they may come */
};

/* `count` in `per_ms`, and as many at once after a pause; a count of 0 is no limit. */
struct log_limit log_limit_of(uint32_t count, uint32_t per_ms);

/* Whether one more may come at `now_ns` (monotonic, one clock for all who share the word). The word starts as
 * 0. One that was left far ahead by a slower limit holds up a faster one for an interval at most. */
bool log_limit_take(const struct log_limit *limit, _Atomic uint64_t *tat_ns, uint64_t now_ns)
    __attribute__((warn_unused_result));

#endif
