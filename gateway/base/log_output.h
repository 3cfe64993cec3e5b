/* Where a log's lines go: the half of base/log that knows descriptors. For log.c alone; what others need is
 * in log.h. */
#ifndef SLUICE_BASE_LOG_OUTPUT_H
#define SLUICE_BASE_LOG_OUTPUT_H

#include "base/log.h"

/* One whole line, without waiting. False: nothing of it was written. What is left of a line that was begun
 * comes first. */
bool log_output_write(struct log *log, struct slice line) __attribute__((warn_unused_result));

#endif
