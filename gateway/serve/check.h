/* `sluice check`: whether a configuration could run here. Reads the file and all that it names; tries the
 * addresses to listen on without their ports, so that a gateway that runs on them does not matter. May block
 * on the look-up of names. A start and a reload check the files that are named by the same functions. */
#ifndef SLUICE_SERVE_CHECK_H
#define SLUICE_SERVE_CHECK_H

#include "rules/faults.h"
#include <stdbool.h>

/* All faults go to standard error, one line each; without errors one line on standard output says so.
 * Answers the exit status: 0, or 2 with errors. */
int check_run(const char *file) __attribute__((warn_unused_result));

/* Reads the certificates, keys and authorities that the rules name, and looks for their folders. Adds what is
 * wrong to `faults`; false where that is more than warnings. `rules` may be what could be read of a file. */
bool check_files_named(const struct rules *rules, struct faults *faults);

#endif
