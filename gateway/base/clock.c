#include "base/clock.h"
#include <stdio.h>
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
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts = {0};
    char date[32];
    if (!gmtime_r(&seconds, &parts) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        date[0] = '\0';
    }
    snprintf(out, cap, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
}
