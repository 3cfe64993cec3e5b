/* What is measured: the processor time of a process and all that came from it, its memory, and how long round
 * trips took. */
#ifndef SLUICE_BENCH_MEASURE_H
#define SLUICE_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t measure_now_ns(void);

/* User and system time of the process, of its children that live and of those that it waited for. */
uint64_t measure_cpu_ns(pid_t pid);

/* Its own; the rest as above. */
uint64_t measure_own_cpu_ns(void);

/* Of the whole machine, by the clock's ticks. */
uint64_t measure_machine_cpu_ns(void);

/* Proportional set size of the process and its children. */
uint64_t measure_pss_bytes(pid_t pid);

/* Durations; those beyond the first million overwrite the oldest. */
struct measure_times {
    uint32_t *us10; /* tenths of a microsecond */
    size_t count;
};

void measure_times_add(struct measure_times *times, uint64_t ns);

/* `share` of all are at most this; 0 where there is none. Sorts. */
double measure_times_us(struct measure_times *times, double share);

#endif
