/* The log that the rules ask for, opened. */
#ifndef SLUICE_SERVE_LOG_OPEN_H
#define SLUICE_SERVE_LOG_OPEN_H

#include "base/log.h"
#include "rules/rules.h"

enum { LOG_OPEN_WHY_MAX = 512 };

/* Makes `log` as `rules` have it: level, format, output, rate; `tat_ns` is the word that all processes share
 * (board_head.log_tat; NULL: this log alone). False: `why` says what cannot be written, and there is nothing
 * to log_fini. True with a `why` that is not empty: it can be used, but nobody takes its lines as yet. */
bool log_open(struct log *log, const struct rules *rules, _Atomic uint64_t *tat_ns,
    char why[LOG_OPEN_WHY_MAX]) __attribute__((warn_unused_result));

/* A log file once more, after it was renamed: a descriptor for log_adopt_fd, here and in other processes
 * (each its own copy). -1: `why` says. */
int log_open_again(const char *file, char why[LOG_OPEN_WHY_MAX]) __attribute__((warn_unused_result));

#endif
