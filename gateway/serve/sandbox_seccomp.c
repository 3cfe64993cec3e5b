#include "serve/sandbox_internal.h"
#ifndef SLUICE_NO_SANDBOX
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_filters.h" /* made while it is built, by gateway/tools/sandbox_filters.c */

#define PROGRAM(array)                                                                                       \
    {                                                                                                        \
        .len = sizeof(array) / sizeof *(array), .filter = (struct sock_filter *)(array)                      \
    }

static const struct sock_fprog worker_program = PROGRAM(of_worker);
static const struct sock_fprog worker_program_beside_landlock = PROGRAM(of_worker_beside_landlock);
static const struct sock_fprog admin_program = PROGRAM(of_admin);

static const struct sock_fprog *program_of(enum sandbox_role role, bool beside_landlock)
{
    switch (role) {
    case SANDBOX_WORKER:
        return beside_landlock ? &worker_program_beside_landlock : &worker_program;
    case SANDBOX_ADMIN:
        break;
    }
    return &admin_program;
}

int sandbox_seccomp(enum sandbox_role role, bool beside_landlock)
{
    const struct sock_fprog *program = program_of(role, beside_landlock);
    /* A worker is bound by the price of its system calls, and its memory is no other program's, which the
     * slow-down against speculation would guard. A kernel before 4.17 has none, and does not know the flag.
     */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) == 0) {
        return 0;
    }
    if (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) == 0) {
        return 0;
    }
    return errno;
}

#else

int sandbox_seccomp(enum sandbox_role role, bool beside_landlock)
{
    (void)role;
    (void)beside_landlock;
    return 0;
}

#endif
