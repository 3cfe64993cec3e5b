/* Landlock's system calls and numbers as of ABI 6 (Linux 6.12), for a build on headers that are older. */
#ifndef SLUICE_SERVE_LANDLOCK_H
#define SLUICE_SERVE_LANDLOCK_H

#include <stdint.h>
#include <sys/syscall.h>

/* The same on every machine (include/uapi/asm-generic/unistd.h). */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#ifndef LANDLOCK_CREATE_RULESET_VERSION
#define LANDLOCK_CREATE_RULESET_VERSION (1u << 0)
#endif

enum landlock_rule { LANDLOCK_RULE_BENEATH = 1, LANDLOCK_RULE_PORT = 2 };

#define LANDLOCK_READ_FILE    (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR     (UINT64_C(1) << 3)
#define LANDLOCK_FS_ABI_1     ((UINT64_C(1) << 13) - 1)
#define LANDLOCK_FS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define LANDLOCK_FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define LANDLOCK_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */

#define LANDLOCK_BIND_TCP    (UINT64_C(1) << 0) /* ABI 4 */
#define LANDLOCK_CONNECT_TCP (UINT64_C(1) << 1)

#define LANDLOCK_SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNALS       (UINT64_C(1) << 1)

struct landlock_rules_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct landlock_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct landlock_port_attr {
    uint64_t allowed_access;
    uint64_t port;
};

#endif
