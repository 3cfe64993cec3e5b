#include "measure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIMES_MAX = 1 << 20 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t measure_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t measure_own_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t ticks_ns(unsigned long long ticks)
{
    return ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* proc(5): cutime and cstime, the 16th and 17th field of stat; the 2nd is in parentheses and may hold blanks.
 */
static uint64_t waited_ns(pid_t pid)
{
    char line[1024] = "";
    FILE *file = open_proc(pid, "stat");
    if (file == NULL) {
        return 0;
    }
    unsigned long long user = 0;
    unsigned long long system = 0;
    if (fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL) {
        (void)sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu",
            &user, &system);
    }
    (void)fclose(file);
    return ticks_ns(user + system);
}

/* Calls `each` for the process and for all below it, and sums. */
static uint64_t sum_tree(pid_t pid, uint64_t (*each)(pid_t))
{
    char name[64];
    uint64_t sum = each(pid);
    (void)snprintf(name, sizeof name, "task/%d/children", (int)pid);
    FILE *file = open_proc(pid, name);
    int child = 0;
    while (file != NULL && fscanf(file, "%d", &child) == 1) {
        sum += sum_tree(child, each);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return sum;
}

static uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    return (clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0) + waited_ns(pid);
}

uint64_t measure_cpu_ns(pid_t pid)
{
    return sum_tree(pid, process_cpu_ns);
}

uint64_t measure_machine_cpu_ns(void)
{
    unsigned long long t[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    int got = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", t, t + 1, t + 2, t + 3, t + 4,
        t + 5, t + 6, t + 7);
    (void)fclose(file);
    return got == 8 ? ticks_ns(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) : 0; /* all but idle and iowait */
}

static uint64_t process_pss_bytes(pid_t pid)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = open_proc(pid, "smaps_rollup");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Pss: %llu kB", &kib) != 1) {
    }
    (void)fclose(file);
    return kib * 1024;
}

uint64_t measure_pss_bytes(pid_t pid)
{
    return sum_tree(pid, process_pss_bytes);
}

void measure_times_add(struct measure_times *times, uint64_t ns)
{
    if (times->us10 == NULL) {
        times->us10 = malloc(TIMES_MAX * sizeof *times->us10);
        if (times->us10 == NULL) {
            perror("load");
            exit(1);
        }
    }
    uint64_t us10 = ns / 100;
    times->us10[times->count++ % TIMES_MAX] = us10 < UINT32_MAX ? (uint32_t)us10 : UINT32_MAX;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double measure_times_us(struct measure_times *times, double share)
{
    size_t n = times->count < TIMES_MAX ? times->count : TIMES_MAX;
    if (n == 0) {
        return 0;
    }
    qsort(times->us10, n, sizeof *times->us10, by_size);
    size_t at = (size_t)((double)n * share);
    return times->us10[at < n ? at : n - 1] / 10.0;
}
