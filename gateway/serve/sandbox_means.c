#include "serve/sandbox_means.h"
#include "serve/landlock.h"
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sandbox_means sandbox_means_find(void)
{
    struct sandbox_means means = {0};
#ifndef SLUICE_NO_SANDBOX
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    means.built = true;
    means.seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    means.landlock = abi > 0 ? (unsigned)abi : 0;
#endif
    return means;
}

void sandbox_means_format(const struct sandbox_means *means, char out[SANDBOX_MEANS_TEXT_MAX])
{
    if (!means->built) {
        (void)snprintf(out, SANDBOX_MEANS_TEXT_MAX, "none, in a build for tests");
        return;
    }
    int len = snprintf(
        out, SANDBOX_MEANS_TEXT_MAX, "%s", means->seccomp ? "seccomp" : "no seccomp, which the kernel lacks");
    if (means->landlock == 0) {
        (void)snprintf(out + len, SANDBOX_MEANS_TEXT_MAX - (size_t)len,
            "; no Landlock, which the kernel lacks or has not enabled");
    } else {
        (void)snprintf(out + len, SANDBOX_MEANS_TEXT_MAX - (size_t)len, ", Landlock ABI %u (files%s)",
            means->landlock,
            means->landlock >= SANDBOX_LANDLOCK_TCP ? ", TCP ports" : "; TCP ports take ABI 4");
    }
}
