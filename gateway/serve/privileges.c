#include "serve/privileges.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum identity_found privileges_find(const char *user, struct identity *identity, char why[PRIVILEGES_WHY_MAX])
{
    *identity = (struct identity){.uid = geteuid(), .gid = getegid()};
    if (user == NULL) {
        return IDENTITY_FOUND;
    }
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        (void)snprintf(why, PRIVILEGES_WHY_MAX, "user: there is no user \"%.100s\"%s%s", user,
            errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
        return IDENTITY_UNKNOWN;
    }
    identity->other = entry->pw_uid != geteuid() || entry->pw_gid != getegid();
    identity->uid = entry->pw_uid;
    identity->gid = entry->pw_gid;
    (void)snprintf(identity->name, sizeof identity->name, "%s", user);
    if (identity->other && geteuid() != 0) {
        (void)snprintf(why, PRIVILEGES_WHY_MAX,
            "cannot run as %.100s: only root can; start it as root, or take out `user`", user);
        return IDENTITY_REFUSED;
    }
    return IDENTITY_FOUND;
}

static bool failed(const char *step, char why[PRIVILEGES_WHY_MAX])
{
    (void)snprintf(why, PRIVILEGES_WHY_MAX, "%s: %s", step, strerror(errno));
    return false;
}

/* What exec could bring back, which takes CAP_SETPCAP: as another than root there is nothing to take away. */
static void empty_bounds(void)
{
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP; capability++) {
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static bool drop_capabilities(char why[PRIVILEGES_WHY_MAX])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capset, &header, none) == 0 || failed("capset", why);
}

static bool become(const struct identity *identity, char why[PRIVILEGES_WHY_MAX])
{
    if (initgroups(identity->name, identity->gid) != 0) {
        return failed("initgroups", why);
    }
    if (setresgid(identity->gid, identity->gid, identity->gid) != 0) {
        return failed("setresgid", why);
    }
    if (setresuid(identity->uid, identity->uid, identity->uid) != 0) {
        return failed("setresuid", why);
    }
    if (identity->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
        (void)snprintf(why, PRIVILEGES_WHY_MAX, "could become root again");
        return false;
    }
    return true;
}

bool privileges_drop(const struct identity *identity, char why[PRIVILEGES_WHY_MAX])
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return failed("no_new_privs", why);
    }
    empty_bounds();
    if (!identity->other) {
        return drop_capabilities(why);
    }
    return become(identity, why) && drop_capabilities(why) &&
           (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 || failed("dumpable", why));
}
