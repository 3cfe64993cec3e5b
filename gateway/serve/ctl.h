/* `sluice ctl`: asks a running gateway's admin listener, and shows what it says. Blocks. */
#ifndef SLUICE_SERVE_CTL_H
#define SLUICE_SERVE_CTL_H

/* `argv[0]` is the word "ctl". What was asked for goes to standard output, faults to standard error. Answers
 * the exit status: 0, 1 where the gateway cannot be reached or refuses, 2 for a bad command line or
 * configuration. */
int ctl_run(int argc, char **argv) __attribute__((warn_unused_result));

#endif
