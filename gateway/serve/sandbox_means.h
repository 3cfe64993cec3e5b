/* What this machine and this build have to confine a process with. Asks the kernel; changes nothing. */
#ifndef SLUICE_SERVE_SANDBOX_MEANS_H
#define SLUICE_SERVE_SANDBOX_MEANS_H

#include <stdbool.h>

enum { SANDBOX_MEANS_TEXT_MAX = 160 };

struct sandbox_means {
    bool built;        /* false: built for a sanitizer or for coverage, whose own calls no list has */
    bool seccomp;      /* filters, and the action that ends a process */
    unsigned landlock; /* the kernel's ABI; 0: none. From 4 on it knows TCP ports */
};

enum { SANDBOX_LANDLOCK_TCP = 4, SANDBOX_LANDLOCK_SCOPES = 6 };

struct sandbox_means sandbox_means_find(void);

/* "seccomp, Landlock ABI 7 (files, TCP ports)" */
void sandbox_means_format(const struct sandbox_means *means, char out[SANDBOX_MEANS_TEXT_MAX]);

#endif
