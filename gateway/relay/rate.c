#include "relay/rate.h"
#include "base/clock.h"
#include "rules/rules.h"

/* In thousandths of bytes, so that a millisecond's worth is a whole number. */
#define A_BYTE 1000U

/* Beyond this no machine is limited, and no product below overflows. */
#define RATE_MOST (UINT64_C(1) << 40)

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t full(const struct rate_bucket *bucket)
{
    uint64_t rate = bucket->bytes_a_second;
    return (rate > RATE_BURST_LEAST ? rate : RATE_BURST_LEAST) * A_BYTE;
}

/* Less is not worth a read; a byte is, at the least. */
static uint64_t worth_a_read(const struct rate_bucket *bucket)
{
    uint64_t step = bucket->bytes_a_second * RATE_STEP_MS;
    return step > A_BYTE ? step : A_BYTE;
}

static uint64_t tokens_at(const struct rate_bucket *bucket, uint64_t now_ms)
{
    uint64_t capacity = full(bucket);
    uint64_t passed_ms = now_ms > bucket->filled_ms ? now_ms - bucket->filled_ms : 0;
    /* Past the time that fills it from nothing, it is full: so long a time times a rate might overflow. */
    if (passed_ms > capacity / bucket->bytes_a_second) {
        return capacity;
    }
    return least_of(capacity, bucket->tokens + passed_ms * bucket->bytes_a_second);
}

void rate_init(struct rate_bucket *bucket, uint64_t bytes_a_second, uint64_t now_ms)
{
    *bucket = (struct rate_bucket){.filled_ms = now_ms};
    if (bytes_a_second != SIZE_OFF) {
        bucket->bytes_a_second = least_of(bytes_a_second, RATE_MOST);
        bucket->tokens = full(bucket);
    }
}

size_t rate_allows(const struct rate_bucket *bucket, size_t cap_bytes, uint64_t now_ms)
{
    if (bucket->bytes_a_second == 0) {
        return cap_bytes;
    }
    uint64_t tokens = tokens_at(bucket, now_ms);
    return tokens < worth_a_read(bucket) ? 0 : (size_t)least_of(cap_bytes, tokens / A_BYTE);
}

void rate_take(struct rate_bucket *bucket, size_t n, uint64_t now_ms)
{
    if (bucket->bytes_a_second == 0) {
        return;
    }
    uint64_t tokens = tokens_at(bucket, now_ms);
    uint64_t taken = (uint64_t)n * A_BYTE;
    bucket->tokens = tokens > taken ? tokens - taken : 0;
    bucket->filled_ms = now_ms;
}

uint64_t rate_due_ms(const struct rate_bucket *bucket, uint64_t now_ms)
{
    if (bucket->bytes_a_second == 0) {
        return CLOCK_NEVER;
    }
    uint64_t tokens = tokens_at(bucket, now_ms);
    uint64_t wanted = worth_a_read(bucket);
    if (tokens >= wanted) {
        return CLOCK_NEVER;
    }
    return now_ms + (wanted - tokens + bucket->bytes_a_second - 1) / bucket->bytes_a_second;
}
