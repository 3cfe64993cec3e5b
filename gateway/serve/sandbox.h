/* What a process that talks to the network may still ask of the kernel, once it has all that it needs: an
 * allow-list of system calls by role (seccomp), and which files and TCP ports it reaches (Landlock). Both are
 * for good, and the process' threads have them too.
 *
 * A system call that is not on the list is answered as if the kernel had none (ENOSYS), for which libraries
 * have another way; those that only an intruder makes (exec, ptrace, mount, ...) end the process by SIGSYS.
 *
 * Landlock lets a worker read the folders of `files` routes, and what the look-up of names and the system's
 * authorities need where the rules have names and such targets; connect to the ports of targets (and to 53,
 * for names); bind nothing; signal nobody outside. Sockets of the file system are not among what it judges:
 * those are for their permissions. */
#ifndef SLUICE_SERVE_SANDBOX_H
#define SLUICE_SERVE_SANDBOX_H

#include "rules/rules.h"
#include "serve/sandbox_means.h"

enum sandbox_role { SANDBOX_WORKER, SANDBOX_ADMIN };

enum { SANDBOX_WHY_MAX = 256 };

/* Whether all is there that the rules' `sandbox` asks for; else `why` says what is not. */
bool sandbox_suffices(const struct rules *rules, const struct sandbox_means *means, char why[SANDBOX_WHY_MAX])
    __attribute__((warn_unused_result));

/* Goes in, with what there is, where `rules` do not say off. Reads the folders' names; allocates. False:
 * `why` says; the process must not go on. */
bool sandbox_enter(enum sandbox_role role, const struct rules *rules, char why[SANDBOX_WHY_MAX])
    __attribute__((warn_unused_result));

/* The log line `sandbox`: what the rules ask for, and what of it there is. */
void sandbox_log(const struct rules *rules, struct log *log);

/* No core and no debugger of the same user, which would show keys. For the process and those it forks. */
void sandbox_keep_memory(void);

#endif
