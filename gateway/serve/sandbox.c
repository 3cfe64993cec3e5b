#include "serve/sandbox.h"
#include "serve/sandbox_internal.h"
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static bool lacks(const char *what, char why[SANDBOX_WHY_MAX])
{
    (void)snprintf(
        why, SANDBOX_WHY_MAX, "strict takes all of it, and %s: write auto for what there is, or off", what);
    return false;
}

bool sandbox_suffices(const struct rules *rules, const struct sandbox_means *means, char why[SANDBOX_WHY_MAX])
{
    why[0] = '\0';
    if (rules->sandbox != SANDBOX_STRICT) {
        return true;
    }
    if (!means->built) {
        return lacks("this is a build for tests, which has none", why);
    }
    if (!means->seccomp) {
        return lacks("this kernel has no seccomp filters", why);
    }
    return means->landlock >= SANDBOX_LANDLOCK_TCP ||
           lacks("this kernel has no Landlock that knows TCP ports (ABI 4, Linux 6.7)", why);
}

static bool failed(const char *what, int error, char why[SANDBOX_WHY_MAX])
{
    (void)snprintf(why, SANDBOX_WHY_MAX, "sandbox: %s: %s", what, strerror(error));
    return false;
}

bool sandbox_enter(enum sandbox_role role, const struct rules *rules, char why[SANDBOX_WHY_MAX])
{
    struct sandbox_means means = sandbox_means_find();
    if (!sandbox_suffices(rules, &means, why)) {
        return false;
    }
    if (rules->sandbox == SANDBOX_OFF || !means.built) {
        return true;
    }
    int error = means.landlock > 0 ? sandbox_landlock(role, rules, means.landlock) : 0;
    if (error != 0) {
        return failed("Landlock", error, why);
    }
    error = means.seccomp ? sandbox_seccomp(role, means.landlock > 0) : 0;
    return error == 0 || failed("seccomp", error, why);
}

static const char *const choices[] = {
    [SANDBOX_AUTO] = "auto", [SANDBOX_OFF] = "off", [SANDBOX_STRICT] = "strict"};

void sandbox_log(const struct rules *rules, struct log *log)
{
    struct sandbox_means means = sandbox_means_find();
    struct log_line line;
    bool on = rules->sandbox != SANDBOX_OFF;
    log_begin(&line, log, LOG_INFO, "sandbox");
    log_cstr(&line, "mode", choices[rules->sandbox]);
    log_cstr(&line, "seccomp", on && means.seccomp ? "on" : "off");
    if (on && means.landlock > 0) {
        log_u64(&line, "landlock", means.landlock);
        log_cstr(&line, "ports", means.landlock >= SANDBOX_LANDLOCK_TCP ? "on" : "off");
    } else {
        log_cstr(&line, "landlock", "off");
    }
    if (!means.built) {
        log_cstr(&line, "reason", "a build for tests has none");
    }
    log_end(&line);
}

void sandbox_keep_memory(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* one may always lower it */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
