#include "rules/load.h"
#include "base/text.h"
#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20 };

static const struct load_defaults built_in = {
    .handshake_ms = 10 * 1000,
    .drain_ms = 60 * 1000,
    .sessions_max = 10000,
    .sessions_per_client_max = SIZE_OFF,
    .new_sessions_per_client = {.count = 0, .per_ms = 1000},
    .request_bytes = 16 << 10,
    .timeouts =
        {
            .connect_ms = 5 * 1000,
            .ping_ms = 25 * 1000,
            .pong_ms = 20 * 1000,
            .idle_ms = DURATION_OFF,
            .session_ms = DURATION_OFF,
            .close_ms = 5 * 1000,
        },
    .limits =
        {
            .sessions = SIZE_OFF,
            .message_bytes = SIZE_OFF,
            .buffer_bytes = 256 << 10,
            .rate_up_bytes = SIZE_OFF,
            .rate_down_bytes = SIZE_OFF,
        },
};

/* ---- The top of a file */

static const struct word pollers[] = {
    {"auto", POLLER_AUTO}, {"poll", POLLER_POLL}, {"epoll", POLLER_EPOLL}, {NULL, 0}};

static const struct word sandboxes[] = {
    {"auto", SANDBOX_AUTO}, {"off", SANDBOX_OFF}, {"strict", SANDBOX_STRICT}, {NULL, 0}};

/* With its place, for what cannot be had here. */
static void load_sandbox(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    load_word(l, value, spec, into);
    l->rules->sandbox_at = value->at;
}

static const struct key_spec timeout_keys[] = {
    KEY_DURATION("handshake", struct load_defaults, handshake_ms, false),
    KEYS_ROUTE_TIMEOUTS(struct load_defaults, timeouts.),
    KEY_DURATION("drain", struct load_defaults, drain_ms, true),
    {.name = NULL},
};

static const struct key_spec limit_keys[] = {
    KEY_COUNT("sessions", struct load_defaults, sessions_max),
    KEY_COUNT("sessions_per_client", struct load_defaults, sessions_per_client_max),
    KEY_RATE("new_sessions_per_client", struct load_defaults, new_sessions_per_client),
    {.name = "request",
        .load = load_size32,
        .offset = offsetof(struct load_defaults, request_bytes),
        .least = REQUEST_LEAST,
        .most = REQUEST_MOST},
    KEYS_ROUTE_LIMITS(struct load_defaults, limits.),
    KEY_LIMITS_RATE(offsetof(struct load_defaults, limits)),
    {.name = NULL},
};

static void load_defaults(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    (void)into;
    load_map(l, value, spec->keys, &l->defaults);
}

/* In the order in which they load: routes start from timeouts, limits and egress. */
static const struct key_spec root_keys[] = {
    {.name = "workers", .load = load_workers},
    {.name = "user", .load = load_user},
    {.name = "sandbox", .load = load_sandbox, .offset = offsetof(struct rules, sandbox), .words = sandboxes},
    KEY_WORD("poller", struct rules, poller, pollers),
    {.name = "listen",
        .load = load_listens,
        .offset = offsetof(struct rules, listens),
        .count_offset = offsetof(struct rules, listen_count),
        .item_size = sizeof(struct listen_rule),
        .load_item = load_listen_item,
        .keys = load_listen_keys,
        .missing = "listen: {address: 127.0.0.1:8080}"},
    {.name = "timeouts", .load = load_defaults, .keys = timeout_keys},
    {.name = "limits", .load = load_defaults, .keys = limit_keys},
    {.name = "egress",
        .load = load_egress_for_all,
        .offset = offsetof(struct load_defaults, egress),
        .keys = load_egress_keys},
    {.name = "routes",
        .load = load_routes,
        .offset = offsetof(struct rules, routes),
        .count_offset = offsetof(struct rules, route_count),
        .item_size = sizeof(struct route),
        .load_item = load_route_item,
        .keys = load_route_keys,
        .missing = "routes: {target: tcp://127.0.0.1:5900}"},
    {.name = "log", .load = load_mapping, .keys = load_log_keys},
    {.name = "reload", .load = load_mapping, .keys = load_reload_keys},
    {.name = "admin", .load = load_admin, .offset = offsetof(struct rules, admin), .keys = load_admin_keys},
    {.name = NULL},
};

/* ---- From a text, a file, or a command line */

static struct rules *rules_new(const char *file, struct faults *faults)
{
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules) {
        arena_init(&rules->arena);
        rules->file = arena_copy(&rules->arena, slice_from(file));
        rules->sandbox = SANDBOX_AUTO;
        rules->poller = POLLER_AUTO;
        rules->log_level = LOG_INFO;
        rules->log_format = LOG_TEXT;
        rules->log_output = LOG_OUTPUT_STDERR;
        rules->log_rate.per_ms = 1000;
    }
    if (rules && rules->file) {
        return rules;
    }
    faults_error(faults, (struct place){0, 0}, "", "no memory is left");
    rules_free(rules);
    return NULL;
}

void rules_free(struct rules *rules)
{
    if (!rules) {
        return;
    }
    struct arena arena = rules->arena;
    arena_fini(&arena);
    free(rules);
}

static struct slice folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? (struct slice){file, (size_t)(slash - file) + 1} : SLICE("");
}

/* What the tables do not reach: the defaults that are also the rules'. */
static struct rules *finish(struct loader *l)
{
    struct rules *rules = l->rules;
    rules->handshake_ms = l->defaults.handshake_ms;
    rules->close_ms = l->defaults.timeouts.close_ms;
    rules->drain_ms = l->defaults.drain_ms;
    rules->sessions_max = l->defaults.sessions_max;
    rules->sessions_per_client_max = l->defaults.sessions_per_client_max;
    rules->new_sessions_per_client = l->defaults.new_sessions_per_client;
    rules->request_bytes = l->defaults.request_bytes;
    return rules;
}

/* `rules` where no fault was told since there were `errors_before`; NULL otherwise. */
static struct rules *unless_faulty(struct rules *rules, const struct faults *faults, size_t errors_before)
{
    if (faults->error_count == errors_before) {
        return rules;
    }
    rules_free(rules);
    return NULL;
}

static struct rules *load_text_partly(const char *text, size_t len, const char *file, struct faults *faults)
{
    if (len > FILE_MOST) {
        faults_error(faults, (struct place){0, 0}, "", "is over 1 MiB: that is no configuration");
        return NULL;
    }
    struct rules *rules = rules_new(file, faults);
    if (!rules) {
        return NULL;
    }
    struct loader l = {.rules = rules, .faults = faults, .folder = folder_of(file), .defaults = built_in};
    struct arena scratch;
    arena_init(&scratch);
    const struct tree_node *root = yaml_tree_parse(&scratch, (struct slice){text, len}, faults);
    if (root) {
        l.root = root;
        l.root_keys = root_keys;
        load_map(&l, root, root_keys, rules);
    }
    arena_fini(&scratch);
    return finish(&l);
}

struct rules *rules_load_text(const char *text, size_t len, const char *file, struct faults *faults)
{
    size_t errors_before = faults->error_count;
    return unless_faulty(load_text_partly(text, len, file, faults), faults, errors_before);
}

/* Up to FILE_MOST + 1 bytes of `fd`; answers 0 or an errno. */
static int read_all(int fd, char *text, size_t *len)
{
    *len = 0;
    for (;;) {
        ssize_t n = read(fd, text + *len, FILE_MOST + 1 - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        *len += (size_t)n;
        if (n == 0 || *len > FILE_MOST) {
            return 0;
        }
    }
}

struct rules *rules_load_file_partly(const char *file, struct faults *faults)
{
    struct rules *rules = NULL;
    size_t len = 0;
    char *text = malloc(FILE_MOST + 1);
    if (!text) {
        faults_error(faults, (struct place){0, 0}, "", "no memory is left");
        return NULL;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : read_all(fd, text, &len);
    if (fd >= 0) {
        close(fd);
    }
    if (error) {
        faults_error(faults, (struct place){0, 0}, "", "cannot be read: %s%s", strerror(error),
            strcmp(file, LOAD_DEFAULT_FILE) == 0 ? ": name one with -c FILE" : "");
    } else {
        rules = load_text_partly(text, len, file, faults);
    }
    free(text);
    return rules;
}

struct rules *rules_load_file(const char *file, struct faults *faults)
{
    size_t errors_before = faults->error_count;
    return unless_faulty(rules_load_file_partly(file, faults), faults, errors_before);
}

/* A bare port is that port of every address. */
static bool listen_from_argument(struct loader *l, const char *listen, struct endpoint *out)
{
    uint64_t port = 0;
    char array[ENDPOINT_TEXT_MAX];
    struct slice text = slice_from(listen);
    struct text t;
    text_init(&t, array, sizeof array);
    if (slice_to_u64(text, UINT16_MAX, &port)) {
        text_addf(&t, ":%s", listen);
        text = text_slice(&t);
    }
    return load_endpoint(l, (struct place){0, 0}, text, out);
}

static void load_arguments(struct loader *l, const char *listen, const char *target)
{
    struct listen_rule *listen_rule = load_alloc(l, sizeof *listen_rule);
    struct route *route = load_alloc(l, sizeof *route);
    struct target_rule *target_rule = load_alloc(l, sizeof *target_rule);
    if (!listen_rule || !route || !target_rule || !load_route_init(l, route, 0)) {
        return;
    }
    size_t entered = load_enter(l, "LISTEN");
    bool fine = listen_from_argument(l, listen, &listen_rule->address);
    load_leave(l, entered);
    entered = load_enter(l, "TARGET");
    if (load_target_argument(l, slice_from(target), target_rule) && target_rule->scheme == TARGET_TLS) {
        route->target_tls = load_target_tls_new(l);
    }
    load_egress_check(l, target_rule, &route->egress);
    load_leave(l, entered);
    if (!fine) {
        return;
    }
    l->rules->listens = listen_rule;
    l->rules->listen_count = 1;
    route->targets = target_rule;
    route->target_count = 1;
    l->rules->routes = route;
    l->rules->route_count = 1;
}

struct rules *rules_from_arguments(const char *listen, const char *target, struct faults *faults)
{
    size_t errors_before = faults->error_count;
    struct rules *rules = rules_new("", faults);
    if (!rules) {
        return NULL;
    }
    struct loader l = {.rules = rules, .faults = faults, .folder = SLICE(""), .defaults = built_in};
    load_arguments(&l, listen, target);
    return unless_faulty(finish(&l), faults, errors_before);
}

/* ---- The keys there are */

static void each_key(const char *prefix, const struct key_spec *keys,
    void (*each)(const char *key, void *context), void *context)
{
    for (; keys->name; keys++) {
        char key[LOAD_KEY_MAX], below[LOAD_KEY_MAX];
        struct text t;
        if (keys->refusal) {
            continue;
        }
        text_init(&t, key, sizeof key);
        text_addf(&t, "%s%s", prefix, keys->name);
        each(key, context);
        text_init(&t, below, sizeof below);
        text_addf(&t, "%s%s.", key, keys->item_size > 0 ? "[]" : "");
        if (keys->keys) {
            each_key(below, keys->keys, each, context);
        }
    }
}

void rules_each_key(void (*each)(const char *key, void *context), void *context)
{
    each_key("", root_keys, each, context);
}
