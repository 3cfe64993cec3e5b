/* The halves of serve/sandbox. Nobody else includes this. */
#ifndef SLUICE_SERVE_SANDBOX_INTERNAL_H
#define SLUICE_SERVE_SANDBOX_INTERNAL_H

#include "serve/sandbox.h"

/* Each needs no_new_privs. 0, or an errno. `beside_landlock`: files are judged by Landlock as well, so that
 * calls whose arguments a filter does not see are fine. */
int sandbox_seccomp(enum sandbox_role role, bool beside_landlock) __attribute__((warn_unused_result));
int sandbox_landlock(enum sandbox_role role, const struct rules *rules, unsigned abi)
    __attribute__((warn_unused_result));

#endif
