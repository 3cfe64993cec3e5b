#include "serve/landlock.h"
#include "serve/sandbox_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DNS_PORT = 53 };

static const char *const name_folders[] = {
    "/etc/ld.so.cache", "/usr/lib", "/usr/lib64", "/lib", "/lib64", /* modules of nsswitch.conf */
};

/* Each is written anew and renamed into its place by those who keep it, and a rule goes by the file and not
 * by its name: so it has to be for the folder. */
static const char *const name_files[] = {
    "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"};

static const char *const authorities[] = {"/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/etc/pki", "/usr/share/pki", "/etc/ca-certificates",
    "/var/lib/ca-certificates"};

static uint64_t files_rights(unsigned abi)
{
    return LANDLOCK_FS_ABI_1 | (abi >= 2 ? LANDLOCK_FS_REFER : 0) | (abi >= 3 ? LANDLOCK_FS_TRUNCATE : 0) |
           (abi >= 5 ? LANDLOCK_FS_IOCTL_DEV : 0);
}

/* What is not there needs no rule. */
static int may_read(int ruleset, const char *path)
{
    struct stat facts;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    int error = fstat(fd, &facts) == 0 ? 0 : errno;
    struct landlock_beneath_attr beneath = {.allowed_access = LANDLOCK_READ_FILE, .parent_fd = fd};
    if (S_ISDIR(facts.st_mode)) {
        beneath.allowed_access |= LANDLOCK_READ_DIR;
    }
    if (error == 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_BENEATH, &beneath, 0) != 0) {
        error = errno;
    }
    close(fd);
    return error;
}

static int may_read_all(int ruleset, const char *const *paths, size_t count)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        error = may_read(ruleset, paths[i]);
    }
    return error;
}

/* Where a file really lies: /etc, /run/systemd/resolve. */
static int may_read_folder_of(int ruleset, const char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL) {
        return 0;
    }
    *strrchr(real, '/') = '\0';
    int error = real[0] != '\0' ? may_read(ruleset, real) : 0;
    free(real);
    return error;
}

static int may_look_up(int ruleset, enum sandbox_choice choice)
{
    int error = may_read_all(ruleset, name_folders, sizeof name_folders / sizeof *name_folders);
    for (size_t i = 0; error == 0 && i < sizeof name_files / sizeof *name_files; i++) {
        error = choice == SANDBOX_STRICT ? may_read(ruleset, name_files[i])
                                         : may_read_folder_of(ruleset, name_files[i]);
    }
    return error;
}

static int may_ask_authorities(int ruleset)
{
    const char *const asked[] = {getenv("SSL_CERT_DIR"), getenv("SSL_CERT_FILE")};
    int error = may_read_all(ruleset, authorities, sizeof authorities / sizeof *authorities);
    for (size_t i = 0; error == 0 && i < sizeof asked / sizeof *asked; i++) {
        error = asked[i] != NULL ? may_read(ruleset, asked[i]) : 0;
    }
    return error;
}

static int may_connect(int ruleset, uint16_t port)
{
    struct landlock_port_attr rule = {.allowed_access = LANDLOCK_CONNECT_TCP, .port = port};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PORT, &rule, 0) == 0 ? 0 : errno;
}

/* What the rules have that needs more than a socket. */
struct needs {
    bool names;
    bool authorities;
};

static bool is_name(const struct endpoint *address)
{
    struct ip_addr ip;
    return !ip_parse(slice_from(address->host), &ip) &&
           !slice_eq_nocase(slice_from(address->host), SLICE("localhost"));
}

static int may_reach(int ruleset, const struct route *route, bool ports, struct needs *needs)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < route->target_count; i++) {
        const struct target_rule *target = &route->targets[i];
        if (target->scheme == TARGET_UNIX) {
            continue;
        }
        needs->names = needs->names || is_name(&target->address);
        needs->authorities = needs->authorities || (target->scheme == TARGET_TLS &&
                                                       route->target_tls->verify && !route->target_tls->ca);
        error = ports ? may_connect(ruleset, target->address.port) : 0;
    }
    return error;
}

static int permit(int ruleset, const struct rules *rules, bool ports)
{
    struct needs needs = {0};
    int error = 0;
    for (size_t i = 0; error == 0 && i < rules->route_count; i++) {
        const struct route *route = &rules->routes[i];
        error =
            route->files != NULL ? may_read(ruleset, route->files) : may_reach(ruleset, route, ports, &needs);
    }
    if (error == 0 && needs.names) {
        error = may_look_up(ruleset, rules->sandbox);
    }
    if (error == 0 && needs.names && ports) {
        error = may_connect(ruleset, DNS_PORT);
    }
    return error == 0 && needs.authorities ? may_ask_authorities(ruleset) : error;
}

int sandbox_landlock(enum sandbox_role role, const struct rules *rules, unsigned abi)
{
    bool ports = abi >= SANDBOX_LANDLOCK_TCP;
    struct landlock_rules_attr all = {
        .handled_access_fs = files_rights(abi),
        .handled_access_net = ports ? LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP : 0,
        .scoped = abi >= SANDBOX_LANDLOCK_SCOPES ? LANDLOCK_SCOPE_ABSTRACT_UNIX | LANDLOCK_SCOPE_SIGNALS : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0) {
        return errno;
    }
    int error = role == SANDBOX_WORKER ? permit(ruleset, rules, ports) : 0; /* the others need no file */
    if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        error = errno;
    }
    close(ruleset);
    return error;
}
