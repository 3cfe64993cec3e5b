#include "serve/check.h"
#include "base/text.h"
#include "net/tls.h"
#include "rules/load.h"
#include "serve/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_MAX = 128, STATUS_FINE = 0, STATUS_FAULTS = 2 };

/* Whether the effective user may; 0 or an errno. */
static int may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* The folder that `path` lies in. */
static struct slice folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return SLICE(".");
    }
    return slash == path ? SLICE("/") : (struct slice){path, (size_t)(slash - path)};
}

/* Something can be made in the folder of `path`. */
static int folder_takes_files(const char *path)
{
    char folder[PATH_MAX];
    struct text text;
    text_init(&text, folder, sizeof(folder));
    text_add(&text, folder_of(path));
    return text.cut ? ENAMETOOLONG : may(folder, W_OK | X_OK);
}

/* ---- Addresses to listen on. */

static void check_unix_address(
    const struct endpoint *address, struct place at, const char *key, struct faults *faults)
{
    struct stat st;
    const char *path = address->path;
    int error = folder_takes_files(path);
    if (error) {
        faults_error(faults, at, key, "unix:%s: cannot be made in its folder: %s", path, strerror(error));
    } else if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        faults_error(faults, at, key,
            "unix:%s: is there already and is no socket: write another path, or move it away", path);
    }
}

/* Whether a socket can have that address; 0 or an errno. */
static int try_to_bind(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int error = bind(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* With port 0 in place of its own, which the very gateway that this is the configuration of may have. As for
 * listening, one of a name's addresses is enough. */
static void check_inet_address(
    const struct endpoint *address, struct place at, const char *key, struct faults *faults)
{
    const char *host = address->host;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host[0] ? host : NULL, "0", &hints, &found);
    if (error != 0) {
        faults_error(faults, at, key,
            "\"%s\" cannot be looked up (%s): write an address of this machine, or a name that has one", host,
            error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return;
    }
    error = EADDRNOTAVAIL;
    for (const struct addrinfo *one = found; one && error != 0; one = one->ai_next) {
        error = try_to_bind(one);
    }
    freeaddrinfo(found);
    if (error != 0) {
        faults_error(faults, at, key,
            "\"%s\" cannot be listened on (%s): write an address of this machine, or \":%u\" for all of them",
            host, strerror(error), (unsigned)address->port);
    }
}

static void check_address(
    const struct endpoint *address, struct place at, const char *key, struct faults *faults)
{
    switch (address->kind) {
    case ENDPOINT_UNIX:
        check_unix_address(address, at, key, faults);
        break;
    case ENDPOINT_INET:
        check_inet_address(address, at, key, faults);
        break;
    }
}

/* ---- Certificates. */

/* Where a pair is named in the configuration; `key` is the mapping that has `cert` and `key`. */
struct pair_place {
    struct place cert_at, key_at;
    const char *key;
    struct faults *faults;
};

static void tell_pair(void *context, enum tls_blamed file, bool warning, const char *why)
{
    const struct pair_place *pair = context;
    char key[KEY_MAX];
    bool of_key = file == TLS_BLAMED_KEY;
    snprintf(key, sizeof(key), "%s.%s", pair->key, of_key ? "key" : "cert");
    if (warning) {
        faults_warn(pair->faults, of_key ? pair->key_at : pair->cert_at, key, "%s", why);
    } else {
        faults_error(pair->faults, of_key ? pair->key_at : pair->cert_at, key, "%s", why);
    }
}

static void check_ca(struct place at, const char *file, const char *key, struct faults *faults)
{
    char why[TLS_WHY_MAX] = "";
    if (!tls_check_ca(file, why)) {
        faults_error(faults, at, key, "%s", why);
    } else if (why[0]) {
        faults_warn(faults, at, key, "%s", why);
    }
}

static void check_listen_tls(const struct listen_tls_rule *tls, size_t index, struct faults *faults)
{
    char key[KEY_MAX];
    for (size_t i = 0; i < tls->certificate_count; i++) {
        const struct certificate_rule *rule = &tls->certificates[i];
        snprintf(key, sizeof(key), "listen[%zu].tls.certificates[%zu]", index, i);
        struct pair_place pair = {rule->cert_at, rule->key_at, key, faults};
        tls_check_pair(rule->cert, rule->key, TLS_ROLE_SERVER, tell_pair, &pair);
    }
    snprintf(key, sizeof(key), "listen[%zu].tls.client_ca", index);
    if (tls->client_ca) {
        check_ca(tls->client_ca_at, tls->client_ca, key, faults);
    }
}

static void check_listen(const struct listen_rule *rule, size_t index, struct faults *faults)
{
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "listen[%zu].address", index);
    if (!rule->fd_name) { /* else the service manager opens it */
        check_address(&rule->address, rule->at, key, faults);
    }
}

/* ---- Routes. */

static void check_folder(const struct route *route, struct faults *faults)
{
    char key[KEY_MAX];
    struct stat st;
    snprintf(key, sizeof(key), "routes[%u].files", route->index);
    int error = stat(route->files, &st) == 0 ? 0 : errno;
    if (error == 0 && !S_ISDIR(st.st_mode)) {
        error = ENOTDIR;
    }
    if (error == 0) {
        error = may(route->files, R_OK | X_OK);
    }
    if (error) {
        faults_error(faults, route->files_at, key, "%s: is no folder that can be read: %s", route->files,
            strerror(error));
    }
}

static void check_target_tls(const struct route *route, struct faults *faults)
{
    char key[KEY_MAX];
    const struct target_tls_rule *tls = route->target_tls;
    snprintf(key, sizeof(key), "routes[%u].target_tls.ca", route->index);
    if (tls->ca) {
        check_ca(tls->ca_at, tls->ca, key, faults);
    }
    snprintf(key, sizeof(key), "routes[%u].target_tls", route->index);
    struct pair_place pair = {tls->cert_at, tls->key_at, key, faults};
    tls_check_pair(tls->cert, tls->key, TLS_ROLE_CLIENT, tell_pair, &pair);
}

/* One that could not be read has no text. */
static bool is_target_name(const struct target_rule *target)
{
    return target->text && target->address.kind == ENDPOINT_INET;
}

/* Whether a target before that one has the same name. */
static bool was_looked_up(
    const struct rules *rules, const struct route *route, const struct target_rule *target)
{
    for (const struct route *before = rules->routes; before <= route; before++) {
        for (size_t i = 0; i < before->target_count && &before->targets[i] != target; i++) {
            const struct target_rule *other = &before->targets[i];
            if (is_target_name(other) && strcmp(other->address.host, target->address.host) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int look_up_target(const struct route *route, size_t index, struct faults *faults)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct target_rule *target = &route->targets[index];
    struct addrinfo *found = NULL;
    char key[KEY_MAX];
    int error = getaddrinfo(target->address.host, NULL, &hints, &found);
    if (error == 0) {
        freeaddrinfo(found);
        return 0;
    }
    int len = snprintf(key, sizeof(key), "routes[%u].target", route->index);
    if (route->target_count > 1) {
        snprintf(key + len, sizeof(key) - (size_t)len, "[%zu]", index);
    }
    faults_warn(faults, target->at, key,
        "\"%s\" has no address now (%s): until it has one, the target cannot be reached%s",
        target->address.host, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error),
        error == EAI_AGAIN ? "; no other names were looked up" : "");
    return error;
}

/* Only warnings: at another time a name may have an address. One look-up without an answer is the last, since
 * each may take many seconds. */
static void check_target_names(const struct rules *rules, struct faults *faults)
{
    int error = 0;
    for (size_t i = 0; i < rules->route_count; i++) {
        const struct route *route = &rules->routes[i];
        for (size_t j = 0; error != EAI_AGAIN && j < route->target_count; j++) {
            const struct target_rule *target = &route->targets[j];
            if (is_target_name(target) && !was_looked_up(rules, route, target)) {
                error = look_up_target(route, j, faults);
            }
        }
    }
}

/* ---- All of it. */

bool check_files_named(const struct rules *rules, struct faults *faults)
{
    size_t errors_before = faults->error_count;
    for (size_t i = 0; i < rules->listen_count; i++) {
        if (rules->listens[i].tls) {
            check_listen_tls(rules->listens[i].tls, i, faults);
        }
    }
    for (size_t i = 0; i < rules->route_count; i++) {
        if (rules->routes[i].files) {
            check_folder(&rules->routes[i], faults);
        }
        if (rules->routes[i].target_tls) {
            check_target_tls(&rules->routes[i], faults);
        }
    }
    return faults->error_count == errors_before && !faults->lost;
}

static void check_user(const struct rules *rules, struct faults *faults)
{
    errno = 0;
    if (!getpwnam(rules->user)) {
        faults_error(faults, rules->user_at, "user",
            "there is no user \"%s\"%s%s: make it (useradd --system %s), or write one that there is",
            rules->user, errno ? ": " : "", errno ? strerror(errno) : "", rules->user);
    }
}

static void check_sandbox(const struct rules *rules, struct faults *faults)
{
    char why[SANDBOX_WHY_MAX];
    struct sandbox_means means = sandbox_means_find();
    if (!sandbox_suffices(rules, &means, why)) {
        faults_error(faults, rules->sandbox_at, "sandbox", "%s", why);
    }
}

static void check_log_file(const struct rules *rules, struct faults *faults)
{
    struct stat st;
    const char *file = rules->log_file;
    bool there = stat(file, &st) == 0;
    int error = !there ? folder_takes_files(file) : S_ISDIR(st.st_mode) ? EISDIR : may(file, W_OK);
    if (error) {
        faults_error(
            faults, rules->log_file_at, "log.output", "%s: cannot be written: %s", file, strerror(error));
    }
}

/* Only a warning: a daemon may come later, and what is logged from then on gets there. */
static void check_syslog(const struct rules *rules, struct faults *faults)
{
    int error = log_syslog_answers(LOG_SYSLOG_PATH);
    if (error) {
        faults_warn(faults, rules->log_file_at, "log.output",
            "nobody listens on " LOG_SYSLOG_PATH
            " now (%s): until a syslog daemon does, what is logged is lost",
            strerror(error));
    }
}

/* `rules` may be what could be read of a file with faults: what is NULL or 0 is passed over. */
static void check_named(const struct rules *rules, struct faults *faults)
{
    for (size_t i = 0; i < rules->listen_count; i++) {
        check_listen(&rules->listens[i], i, faults);
    }
    (void)check_files_named(rules, faults); /* they are counted */
    check_sandbox(rules, faults);
    if (rules->user) {
        check_user(rules, faults);
    }
    if (rules->admin.on) {
        check_address(&rules->admin.address, rules->admin.at, "admin.address", faults);
    }
    if (rules->log_file) {
        check_log_file(rules, faults);
    }
    if (rules->log_output == LOG_OUTPUT_SYSLOG) {
        check_syslog(rules, faults);
    }
    check_target_names(rules, faults);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static bool wants_ktls(const struct rules *rules)
{
    for (size_t i = 0; i < rules->listen_count; i++) {
        if (rules->listens[i].tls && rules->listens[i].tls->ktls == KTLS_AUTO) {
            return true;
        }
    }
    return false;
}

/* Of the machine that this is run on. */
static void print_sandbox(const char *file, const struct rules *rules)
{
    struct sandbox_means means = sandbox_means_find();
    char here[SANDBOX_MEANS_TEXT_MAX];
    sandbox_means_format(&means, here);
    if (rules->sandbox == SANDBOX_OFF) {
        printf("%s: sandbox: off\n", file);
    } else {
        printf("%s: sandbox: %s: %s\n", file, rules->sandbox == SANDBOX_STRICT ? "strict" : "auto", here);
    }
}

static void print_fine(const char *file, const struct rules *rules, size_t warnings)
{
    if (wants_ktls(rules) && tls_ktls_missing() != NULL) {
        printf("%s: tls.ktls: auto: OpenSSL will encrypt, not the kernel: %s\n", file, tls_ktls_missing());
    }
    printf("%s: %zu route%s, %zu listener%s: fine", file, rules->route_count, plural(rules->route_count),
        rules->listen_count, plural(rules->listen_count));
    if (warnings > 0) {
        printf(" (%zu warning%s)", warnings, plural(warnings));
    }
    printf("\n");
}

int check_run(const char *file)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_file_partly(file, &faults);
    bool complete = rules && faults.error_count == 0;
    if (rules) {
        check_named(rules, &faults);
    }
    if (complete) {
        rules_warn_hidden(rules, &faults);
    }
    faults_print(&faults, file, stderr);
    bool fine = complete && faults.error_count == 0 && !faults.lost;
    if (fine) {
        print_sandbox(file, rules);
        print_fine(file, rules, faults.count);
    }
    if (rules) {
        rules_free(rules);
    }
    faults_fini(&faults);
    return fine ? STATUS_FINE : STATUS_FAULTS;
}
