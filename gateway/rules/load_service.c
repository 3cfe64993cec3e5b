#include "base/text.h"
#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <string.h>

enum { WORKERS_MOST = 512, USER_NAME_MAX = 256 };

/* ---- workers, user, reload */

void load_workers(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    (void)spec;
    uint64_t n = 0;
    if (value->kind == TREE_SCALAR && slice_eq(value->text, SLICE("auto"))) {
        ((struct rules *)into)->workers = 0;
    } else if (load_number(l, value, WORKERS_MOST, "a number from 1 to 512, or auto", &n)) {
        if (n == 0) {
            LOAD_FAULT(l, value->at, "is too little: the least is 1, and \"auto\" is one for each CPU");
        } else {
            ((struct rules *)into)->workers = (uint32_t)n;
        }
    }
}

/* Whether there is such a user is for those to see who become that user. */
void load_user(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct rules *rules = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!load_text(l, value, &text)) {
        return;
    }
    yaml_tree_show(text, shown);
    if (load_is_digits(text)) {
        LOAD_FAULT(l, value->at, "\"%s\" is a number: write the user's name, such as sluice", shown);
    } else if (text.len > USER_NAME_MAX || memchr(text.p, ':', text.len) || memchr(text.p, '/', text.len) ||
               memchr(text.p, ' ', text.len)) {
        LOAD_FAULT(l, value->at, "\"%s\" is no name of a user: write one such as sluice", shown);
    } else {
        rules->user = load_copy(l, text);
        rules->user_at = value->at;
    }
}

const struct key_spec load_reload_keys[] = {
    {.name = "revoke", .load = load_bool, .offset = offsetof(struct rules, revoke)},
    {.name = NULL},
};

/* ---- log */

static const struct word levels[] = {
    {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warning", LOG_WARNING}, {"error", LOG_ERROR}, {NULL, 0}};
static const struct word formats[] = {{"text", LOG_TEXT}, {"json", LOG_JSON}, {NULL, 0}};

static void load_log_output(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct rules *rules = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!load_text(l, value, &text) || slice_eq(text, SLICE("stderr"))) {
        return;
    }
    yaml_tree_show(text, shown);
    if (slice_eq(text, SLICE("syslog"))) {
        rules->log_output = LOG_OUTPUT_SYSLOG;
        rules->log_file_at = value->at;
    } else if (slice_find(text, '/') == text.len && slice_find(text, '.') == text.len) {
        LOAD_FAULT(l, value->at,
            "\"%s\" is neither stderr, syslog nor a file: write a file with a slash, such as ./%s", shown,
            shown);
    } else {
        load_path(l, value, spec, into);
        rules->log_output = rules->log_file ? LOG_OUTPUT_FILE : LOG_OUTPUT_STDERR;
    }
}

const struct key_spec load_log_keys[] = {
    KEY_WORD("level", struct rules, log_level, levels),
    KEY_WORD("format", struct rules, log_format, formats),
    {.name = "output",
        .load = load_log_output,
        .offset = offsetof(struct rules, log_file),
        .has_place = true,
        .place_offset = offsetof(struct rules, log_file_at)},
    KEY_RATE("rate", struct rules, log_rate),
    {.name = NULL},
};

/* ---- admin */

static void load_admin_address(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct admin_rule *admin = into;
    if (value->kind == TREE_SCALAR && slice_starts(value->text, SLICE("fd:"))) {
        LOAD_FAULT(l, value->at,
            "sockets of the service manager are for listen alone: write an address such as 127.0.0.1:9901, "
            "or unix:/path");
        return;
    }
    size_t errors_before = l->faults->error_count;
    load_address(l, value, spec, into);
    if (l->faults->error_count == errors_before) {
        admin->on = true;
        admin->at = value->at;
    }
}

const struct key_spec load_admin_keys[] = {
    {.name = "address",
        .load = load_admin_address,
        .offset = offsetof(struct admin_rule, address),
        .missing = "address: 127.0.0.1:9901"},
    KEY_LIST("allow", struct admin_rule, allow, allow_count, load_allow),
    {.name = NULL},
};

/* "localhost" is loopback by RFC 6761 6.3; what another name is nobody knows before it is looked up. */
static bool is_local(const struct endpoint *address)
{
    struct ip_net v4, v6;
    struct ip_addr ip;
    switch (address->kind) {
    case ENDPOINT_UNIX:
        return true;
    case ENDPOINT_INET:
        break;
    }
    if (!ip_parse(slice_from(address->host), &ip)) {
        return slice_eq_nocase(slice_from(address->host), SLICE("localhost"));
    }
    return (ip_net_parse(SLICE("127.0.0.0/8"), &v4, NULL) && ip_net_contains(&v4, &ip)) ||
           (ip_net_parse(SLICE("::1"), &v6, NULL) && ip_net_contains(&v6, &ip));
}

static void check_admin_address(struct loader *l, const struct tree_node *map, const struct admin_rule *admin)
{
    const struct tree_node *address = yaml_tree_find(map, SLICE("address"));
    const struct rules *rules = l->rules;
    size_t entered = load_enter(l, "address");
    for (size_t i = 0; i < rules->listen_count; i++) {
        if (!rules->listens[i].fd_name && load_is_same_address(&rules->listens[i].address, &admin->address)) {
            LOAD_FAULT(l, address->at, "is the address of listen[%zu]: write another", i);
            break;
        }
    }
    if (!is_local(&admin->address) && !yaml_tree_find(map, SLICE("allow")) &&
        !load_was_meant(map, load_admin_keys, "allow")) {
        LOAD_FAULT(l, address->at,
            "can be reached from other machines: write who may as allow: [10.0.0.0/8], or take "
            "127.0.0.1:%u, which only this machine reaches",
            (unsigned)admin->address.port);
    }
    load_leave(l, entered);
}

void load_admin(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct admin_rule *admin = (struct admin_rule *)(void *)((char *)into + spec->offset);
    struct endpoint endpoint;
    uint64_t port = 0;
    if (value->kind == TREE_SCALAR) {
        struct key_spec with_example = *spec;
        with_example.missing = "admin: {address: 127.0.0.1:9901}";
        bool is_port = slice_to_u64(value->text, UINT16_MAX, &port);
        bool is_address = endpoint_parse(value->text, &endpoint, NULL);
        load_tell_scalar(l, value, &with_example, "address", is_port ? "127.0.0.1:" : is_address ? "" : NULL);
        return;
    }
    load_map(l, value, spec->keys, admin);
    if (admin->on) {
        check_admin_address(l, value, admin);
    }
}
