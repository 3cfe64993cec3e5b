/* The process that an operator starts: reads the configuration, opens what it names, forks the workers and
 * the admin process, restarts those that die, and reloads. It parses nothing from the network. */
#ifndef SLUICE_SERVE_SUPERVISOR_H
#define SLUICE_SERVE_SUPERVISOR_H

#include "rules/rules.h"

enum { EXIT_FINE = 0, EXIT_CANNOT_RUN = 1, EXIT_USAGE = 2 };

/* Runs until it is told to end and all sessions have (SIGTERM, SIGINT; at a second one they do at once), or
 * until it cannot. `rules` are taken over; `file` is where SIGHUP reads them again, NULL: nowhere. Answers an
 * exit status; what is wrong at the start has gone to standard error. */
int supervisor_run(struct rules *rules, const char *file);

#endif
