#include "pattern.h"
#include <string.h>

/* Twice, so that a run of bytes may start anywhere. */
static uint8_t table[2 * PATTERN_LEN];

void pattern_init(void)
{
    uint64_t x = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < PATTERN_LEN; i++) {
        x ^= x << 13; /* xorshift64 */
        x ^= x >> 7;
        x ^= x << 17;
        table[i] = (uint8_t)(x >> 32);
    }
    memcpy(table + PATTERN_LEN, table, PATTERN_LEN);
}

const uint8_t *pattern_at(uint64_t position)
{
    return table + position % PATTERN_LEN;
}

bool pattern_holds(uint64_t position, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        size_t part = n < PATTERN_LEN ? n : PATTERN_LEN;
        if (memcmp(bytes, pattern_at(position), part) != 0) {
            return false;
        }
        position += part;
        bytes += part;
        n -= part;
    }
    return true;
}
