/* What the back end counts, in a file that the load generator maps too: reading it costs neither of them a
 * system call. Each field has one writer; the reader takes what it sees. */
#ifndef SLUICE_BENCH_COUNTERS_H
#define SLUICE_BENCH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

struct counters {
    int32_t pid;       /* of the back end */
    uint64_t opened;   /* connections, ever */
    uint64_t open;     /* now */
    uint64_t bytes_in; /* received, and found to be what they have to be */
    uint64_t bytes_out;
    uint64_t stop; /* set by the load generator: sources send no more, and end */
    uint64_t bad;  /* connections that brought a byte which they should not have */
};

/* The file, mapped and shared; made where `make` says so. NULL: it cannot be, and errno says why. */
struct counters *counters_map(const char *path, bool make);

#endif
