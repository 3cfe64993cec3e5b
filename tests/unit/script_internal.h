/* Between script.c and script_bench.c. */
#ifndef SLUICE_TESTS_SCRIPT_INTERNAL_H
#define SLUICE_TESTS_SCRIPT_INTERNAL_H

#include "script.h"

struct script_transport {
    struct transport transport;
    struct script_side *side;
    char waits; /* the handshake's want: 'r', 'w' or 's'; '\0': none */
};

extern const struct relay_dialer script_dialer;

struct transport *script_connect(struct script_side *side);
/* The LOOP_* bits that the kernel would have for it. */
unsigned script_ready(const struct script_side *side);

#endif
