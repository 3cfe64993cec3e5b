/* Who the processes that talk to the network run as. Nothing here blocks but the look-up of the user. */
#ifndef SLUICE_SERVE_PRIVILEGES_H
#define SLUICE_SERVE_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

enum { PRIVILEGES_WHY_MAX = 256, PRIVILEGES_NAME_MAX = 256 };

struct identity {
    bool other; /* than who we are */
    uid_t uid;
    gid_t gid;
    char name[PRIVILEGES_NAME_MAX];
};

enum identity_found {
    IDENTITY_FOUND,
    IDENTITY_UNKNOWN, /* there is no such user */
    IDENTITY_REFUSED, /* we may not become it */
};

/* `user` NULL: who we are. Otherwise than IDENTITY_FOUND `why` says what is wrong. */
enum identity_found privileges_find(const char *user, struct identity *identity, char why[PRIVILEGES_WHY_MAX])
    __attribute__((warn_unused_result));

/* Becomes `identity` for good: its groups, no way back, no core and no debugger that would show keys. Without
 * any capability, root too, and no new privileges by exec. False: `why` says; the process must not go on. */
bool privileges_drop(const struct identity *identity, char why[PRIVILEGES_WHY_MAX])
    __attribute__((warn_unused_result));

#endif
