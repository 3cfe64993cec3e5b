#include "relay/tally.h"

const uint32_t tally_connect_bounds_ms[TALLY_BUCKETS] = {
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000};
const uint32_t tally_session_bounds_ms[TALLY_BUCKETS] = {
    100, 1000, 5000, 15000, 60000, 300000, 900000, 3600000, 14400000, 43200000, 86400000, 259200000};
const uint32_t tally_ping_bounds_ms[TALLY_BUCKETS] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};

static const uint16_t statuses[] = {
    400, 403, 404, 405, 408, 414, 416, 421, 426, 429, 431, 500, 502, 503, 504};

#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])
_Static_assert(STATUS_COUNT <= TALLY_STATUSES, "a counter for each status");

uint16_t tally_status_at(unsigned index)
{
    return index < STATUS_COUNT ? statuses[index] : 0;
}

static unsigned index_of(uint16_t status)
{
    unsigned other = 0;
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        if (statuses[i] == status) {
            return i;
        }
        other = statuses[i] == 500 ? i : other;
    }
    return other;
}

void tally_refused(struct tally *tally, uint16_t status)
{
    tally_add(&tally->refused[index_of(status)], 1);
}

void tally_observe(struct tally_histogram *histogram, const uint32_t bounds_ms[TALLY_BUCKETS], uint64_t us)
{
    unsigned i = 0;
    while (i < TALLY_BUCKETS && us > (uint64_t)bounds_ms[i] * 1000) {
        i++;
    }
    tally_add(&histogram->buckets[i], 1);
    tally_add(&histogram->sum_us, us);
}
