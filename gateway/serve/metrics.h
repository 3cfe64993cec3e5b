/* What is counted, as Prometheus reads it (text exposition format 0.0.4). Reads shared memory and writes a
 * stream; blocks on nothing else. */
#ifndef SLUICE_SERVE_METRICS_H
#define SLUICE_SERVE_METRICS_H

#include "serve/board.h"
#include <stdbool.h>
#include <stdio.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Every metric with its HELP and TYPE. Rows of routes that were never there have no series. False: no
 * memory; write errors stay in `out` (ferror). */
bool metrics_write(const struct board *board, FILE *out) __attribute__((warn_unused_result));

/* A label's value between its quotes: backslash, quote and newline are escaped, and what is not UTF-8 (a name
 * that was cut within a character) is left out. */
void metrics_write_label(FILE *out, const char *value);

#endif
