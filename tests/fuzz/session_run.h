/* One run of fuzz_session: a session over scripted transports, and what is known of it. */
#ifndef SLUICE_TESTS_SESSION_RUN_H
#define SLUICE_TESTS_SESSION_RUN_H

#include "script.h"
#include <stdlib.h>

struct input {
    const uint8_t *p;
    size_t left;
};

struct run {
    struct bench b;
    struct script_pair p;
    struct input in;
    struct buf client_said; /* all of it, read or not */
    struct buf target_said;
    const char *route; /* its name in `routes` */
    bool smooth;       /* nobody stalled or failed, no time has passed */
    bool later;        /* time has passed */
    bool drained;
    bool killed;
    bool revoked;
    bool cannot_dial;
    bool client_failed; /* broken, deaf or reset */
    bool target_failed;
    bool client_left; /* in order, before it was told that all is over */
    bool target_left;
    bool message_open;
    unsigned asked; /* files */
};

static inline void run_require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static inline bool run_is_route(const struct run *run, const char *name)
{
    return strcmp(run->route, name) == 0;
}

/* What must hold after each turn of the gateway, and once the session is over. Abort where it does not. */
void run_check(struct run *run);
void run_check_end(struct run *run);

#endif
