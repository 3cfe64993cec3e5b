/* `sluice check`: whether a configuration could run here. Reads the file and all that it names; tries the
 * addresses to listen on without their ports, so that a gateway that runs on them does not matter. May block
 * on the look-up of names. */
#ifndef SLUICE_SERVE_CHECK_H
#define SLUICE_SERVE_CHECK_H

/* All faults go to standard error, one line each; without errors one line on standard output says so.
 * Answers the exit status: 0, or 2 with errors. */
int check_run(const char *file) __attribute__((warn_unused_result));

#endif
