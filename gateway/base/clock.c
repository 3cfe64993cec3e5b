#include "base/clock.h"
#include "base/text.h"
#include <time.h>

static uint64_t read_ms(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now); /* cannot fail for the two clocks that are asked for here */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_now_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

void clock_rfc3339(uint64_t wall_ms, char *out, size_t cap)
{
    /* By hand: each line of the log begins with it. */
    static const struct slice behind[] = {
        SLICE("-"), SLICE("-"), SLICE("T"), SLICE(":"), SLICE(":"), SLICE("."), SLICE("Z")};
    static const unsigned digits[] = {4, 2, 2, 2, 2, 2, 3};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts = {0};
    struct text text;
    (void)gmtime_r(&seconds, &parts);
    const uint64_t values[] = {(uint64_t)parts.tm_year + 1900, (uint64_t)parts.tm_mon + 1,
        (uint64_t)parts.tm_mday, (uint64_t)parts.tm_hour, (uint64_t)parts.tm_min, (uint64_t)parts.tm_sec,
        wall_ms % 1000};
    text_init(&text, out, cap);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        text_add_digits(&text, values[i], digits[i]);
        text_add(&text, behind[i]);
    }
}
