/* What the loader's files share. A table of keys says all there is to know about a mapping: which keys it may
 * have, what each takes, and where its value goes. The loader, the hints in its diagnostics and
 * rules_each_key walk the same tables. Every function here tells its faults and goes on; what it could
 * not load stays as it was (zeroed, or the default), so that `sluice check` can look at the rest. */
#ifndef SLUICE_RULES_LOAD_INTERNAL_H
#define SLUICE_RULES_LOAD_INTERNAL_H

#include "rules/load.h"
#include "rules/yaml_tree.h"

/* What routes start from. */
struct load_defaults {
    uint64_t handshake_ms;
    uint64_t drain_ms;
    uint64_t sessions_max;
    uint64_t sessions_per_client_max;
    struct rate_rule new_sessions_per_client;
    uint32_t request_bytes;
    struct route_timeouts timeouts;
    struct route_limits limits;
    struct egress egress;
};

enum { LOAD_KEY_MAX = 256 };

struct loader {
    struct rules *rules;
    const struct tree_node *root; /* of the file, and the keys that it may have; NULL without a file */
    const struct key_spec *root_keys;
    struct faults *faults;
    struct slice folder; /* of the file, with its final slash; empty: the working directory */
    struct load_defaults defaults;
    char key[LOAD_KEY_MAX]; /* the dotted way to the value at hand */
    size_t key_len;
};

/* A fault of the value at hand. */
#define LOAD_FAULT(l, at, ...) faults_error((l)->faults, (at), (l)->key, __VA_ARGS__)
#define LOAD_WARN(l, at, ...)  faults_warn((l)->faults, (at), (l)->key, __VA_ARGS__)

struct word {
    const char *text; /* NULL ends a table */
    unsigned value;
};

struct key_spec {
    const char *name; /* NULL ends a table */
    void (*load)(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
    size_t offset; /* of the field in `into`, the struct that the mapping fills */

    bool has_place; /* load_path: there is a struct place that goes with the field */
    size_t place_offset;

    const struct key_spec *keys; /* the value is a mapping of these, or (with item_size) one or several */
    size_t item_size;            /* load_list: of one item of the array that the field points to */
    size_t count_offset;
    void (*load_item)(
        struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);

    uint64_t least, most; /* numbers */
    bool may_be_off;
    const struct word *words;

    const char *missing; /* the key has to be there; what to write where it is not */
    const char *refusal; /* no key at all, but one that people may expect: why not, and what to write */
};

/* ---- load_map.c: mappings and lists */

/* Loads every key of `map` that `keys` has, in the order of `keys`, and tells those that it has not. */
void load_map(struct loader *l, const struct tree_node *map, const struct key_spec *keys, void *into);

/* Whether `map` has a key that is not in `keys` and whose hint will be `name`: it is as good as there, and
 * its own fault is enough. */
bool load_was_meant(const struct tree_node *map, const struct key_spec *keys, const char *name);

/* Tells that `item`, a scalar, has to be a mapping whose `key` is `scheme` and what stands there; or, where
 * that makes no sense (scheme NULL), what spec->missing says. */
void load_tell_scalar(struct loader *l, const struct tree_node *item, const struct key_spec *spec,
    const char *key, const char *scheme);

/* As load_map, for a key whose value is a mapping that fills the struct at its offset. */
void load_mapping(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* One value or a list of them into an array of spec->item_size, by spec->load_item. */
void load_list(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* Lengthens l->key by ".name" or "[index]"; answers what load_leave takes to undo it. */
size_t load_enter(struct loader *l, const char *name);
size_t load_enter_index(struct loader *l, unsigned index);
void load_leave(struct loader *l, size_t entered);

/* `size` zeroed bytes of the rules' arena; NULL has been told. */
void *load_alloc(struct loader *l, size_t size) __attribute__((warn_unused_result));
const char *load_copy(struct loader *l, struct slice s) __attribute__((warn_unused_result));
struct slice load_copy_lower(struct loader *l, struct slice s) __attribute__((warn_unused_result));

/* ---- load_values.c: single values, each with the signature of key_spec.load */

/* The text of a scalar without control characters; false has been told. */
bool load_text(struct loader *l, const struct tree_node *value, struct slice *out)
    __attribute__((warn_unused_result));

void load_duration(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_size(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_size32(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_count(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_bool(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_word(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_rate(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* A decimal number written bare, in least..most; false has been told. `what` is said where it is none. */
bool load_number(struct loader *l, const struct tree_node *value, uint64_t most, const char *what,
    uint64_t *out) __attribute__((warn_unused_result));

/* ---- load_address.c: what a file names */

/* A path, made relative to the configuration's folder; with its place where spec has one. */
void load_path(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
const char *load_resolve(struct loader *l, struct slice path) __attribute__((warn_unused_result));

/* An address to listen on, into a struct endpoint. */
void load_address(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_server_name(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* The same without a file: `at` is told as the place. False has been told. */
bool load_endpoint(struct loader *l, struct place at, struct slice text, struct endpoint *out)
    __attribute__((warn_unused_result));

/* `unix:PATH` with its path made relative to the configuration. */
bool load_unix(struct loader *l, struct place at, struct slice text, struct endpoint *out)
    __attribute__((warn_unused_result));

/* Whether they are the same to a socket. Port 0 is another one each time. */
bool load_is_same_address(const struct endpoint *a, const struct endpoint *b);

bool load_is_digits(struct slice text);

/* Whether it is a host name or an IP address (an IPv6 one in brackets). */
bool load_is_host(struct slice host);

/* ---- load_target.c */
void load_targets(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_target_item(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);

/* A target as an argument, whose scheme may be left out. */
bool load_target_argument(struct loader *l, struct slice text, struct target_rule *out)
    __attribute__((warn_unused_result));

/* What a target that is written as `text` lacks: "tcp://", or "" where it lacks nothing; NULL: it is none. */
const char *load_target_scheme(struct slice text);

/* ---- load_patterns.c: what a route takes; each with the signature of key_spec.load_item */
void load_host(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_path_pattern(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_from(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_trusted_proxy(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_allow(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_origin(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_subprotocol(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);

/* One network into *into; what to write where it says "any" is `instead_of_any`. */
void load_network(
    struct loader *l, const struct tree_node *item, const char *instead_of_any, struct ip_net *into);

/* ---- load_egress.c */
extern const struct key_spec load_egress_keys[];
void load_egress(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* What routes start from. */
void load_egress_for_all(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* Tells it where a target is an address that the policy denies; a name shows when it is looked up. */
void load_egress_check(struct loader *l, const struct target_rule *target, const struct egress *egress);

/* ---- load_service.c: what concerns the process and not its sessions */
extern const struct key_spec load_log_keys[];
extern const struct key_spec load_reload_keys[];
extern const struct key_spec load_admin_keys[];
void load_workers(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_user(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_admin(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);

/* ---- load_route.c, load_listen.c */
extern const struct key_spec load_rate_keys[];
extern const struct key_spec load_route_keys[];
extern const struct key_spec load_listen_keys[];
void load_routes(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_route_item(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);
void load_listens(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into);
void load_listen_item(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into);

/* A route with every default, named by its index. False: no memory, which was told. */
bool load_route_init(struct loader *l, struct route *route, unsigned index)
    __attribute__((warn_unused_result));

/* What a tls:// target without target_tls has; NULL has been told. */
struct target_tls_rule *load_target_tls_new(struct loader *l) __attribute__((warn_unused_result));

#endif
