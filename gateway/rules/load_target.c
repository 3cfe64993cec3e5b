#include "base/text.h"
#include "rules/load_internal.h"

#include <string.h>

static struct slice without(struct slice s, struct slice prefix)
{
    return (struct slice){s.p + prefix.len, s.len - prefix.len};
}

static bool has_scheme(struct slice text)
{
    return memmem(text.p, text.len, "://", 3) != NULL || slice_starts(text, SLICE("unix:"));
}

const char *load_target_scheme(struct slice text)
{
    struct endpoint endpoint;
    if (slice_starts(text, SLICE("unix:")) || slice_starts(text, SLICE("tcp://")) ||
        slice_starts(text, SLICE("tls://"))) {
        return "";
    }
    return !has_scheme(text) && endpoint_parse(text, &endpoint, NULL) ? "tcp://" : NULL;
}

static void tell_bad_scheme(struct loader *l, struct place at, struct slice text)
{
    char shown[YAML_TREE_SHOWN_MAX];
    const char *scheme = load_target_scheme(text);
    yaml_tree_show(text, shown);
    if (scheme) {
        LOAD_FAULT(l, at, "\"%s\" has no scheme: write %s%s", shown, scheme, shown);
    } else {
        LOAD_FAULT(
            l, at, "\"%s\" is not a target: write tcp://HOST:PORT, tls://HOST:PORT or unix:/path", shown);
    }
}

static bool load_target_inet(
    struct loader *l, struct place at, struct slice text, struct slice address, struct target_rule *out)
{
    char shown[YAML_TREE_SHOWN_MAX];
    yaml_tree_show(text, shown);
    if (slice_find(address, '/') < address.len) {
        LOAD_FAULT(l, at, "\"%s\" has a path, but a target is a host and a port: take the path out", shown);
        return false;
    }
    if (slice_starts(address, SLICE("unix:"))) {
        LOAD_FAULT(l, at, "\"%s\" has two schemes: write unix:/path alone", shown);
        return false;
    }
    const char *why = "";
    if (!endpoint_parse(address, &out->address, &why)) {
        size_t fault_len = strcspn(why, ":"); /* what it says to write is for listeners */
        LOAD_FAULT(l, at, "\"%s\" %.*s: write tcp://HOST:PORT, tls://HOST:PORT or unix:/path", shown,
            (int)fault_len, why);
        return false;
    }
    if (out->address.host[0] == '\0') {
        LOAD_FAULT(l, at, "\"%s\" has no host: write the one to connect to, such as 127.0.0.1", shown);
        return false;
    }
    if (out->address.port == 0) {
        LOAD_FAULT(l, at, "\"%s\" has port 0, to which nothing connects: write 1 to 65535", shown);
        return false;
    }
    return true;
}

static bool load_target_text(struct loader *l, struct place at, struct slice text, struct target_rule *out)
{
    const struct slice tcp = SLICE("tcp://"), tls = SLICE("tls://");
    out->at = at;
    out->text = load_copy(l, text);
    if (!out->text) {
        return false;
    }
    if (slice_starts(text, SLICE("unix:"))) {
        out->scheme = TARGET_UNIX;
        return load_unix(l, at, text, &out->address);
    }
    if (slice_starts(text, tcp)) {
        out->scheme = TARGET_TCP;
        return load_target_inet(l, at, text, without(text, tcp), out);
    }
    if (slice_starts(text, tls)) {
        out->scheme = TARGET_TLS;
        return load_target_inet(l, at, text, without(text, tls), out);
    }
    tell_bad_scheme(l, at, text);
    return false;
}

bool load_target_argument(struct loader *l, struct slice text, struct target_rule *out)
{
    const struct slice tcp = SLICE("tcp://");
    const struct place nowhere = {0, 0};
    char shown[YAML_TREE_SHOWN_MAX];
    if (has_scheme(text)) {
        return load_target_text(l, nowhere, text, out);
    }
    if (load_is_digits(text)) {
        yaml_tree_show(text, shown);
        LOAD_FAULT(l, nowhere, "\"%s\" has no host: write HOST:PORT, such as 127.0.0.1:5900", shown);
        return false;
    }
    char *whole = load_alloc(l, tcp.len + text.len + 1);
    if (!whole) {
        return false;
    }
    memcpy(whole, tcp.p, tcp.len);
    memcpy(whole + tcp.len, text.p, text.len);
    *out = (struct target_rule){.scheme = TARGET_TCP, .text = whole};
    return load_target_inet(l, nowhere, text, text, out);
}

/* ---- In a file */

void load_target_item(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct slice text;
    struct target_rule target = {0};
    if (load_text(l, item, &text) && load_target_text(l, item->at, text, &target)) {
        *(struct target_rule *)into = target;
    }
}

static bool is_same_target(const struct target_rule *a, const struct target_rule *b)
{
    return a->text && b->text && a->scheme == b->scheme && load_is_same_address(&a->address, &b->address);
}

static void tell_repeated(struct loader *l, const struct route *route)
{
    for (size_t i = 1; i < route->target_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!is_same_target(&route->targets[i], &route->targets[j])) {
                continue;
            }
            size_t entered = load_enter_index(l, (unsigned)i);
            LOAD_FAULT(l, route->targets[i].at, "is the same as target[%zu]: take one of them out", j);
            load_leave(l, entered);
            break;
        }
    }
}

void load_targets(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct route *route = into;
    if (value->kind == TREE_LIST && value->count > TARGETS_MAX) {
        LOAD_FAULT(l, value->at, "has %u targets: write at most %d, or a name that has several addresses",
            value->count, TARGETS_MAX);
        return;
    }
    load_list(l, value, spec, into);
    tell_repeated(l, route);
    size_t good = 0;
    for (size_t i = 0; i < route->target_count; i++) {
        good += route->targets[i].text != NULL;
    }
    if (good == 0) {
        route->targets = NULL;
        route->target_count = 0;
    }
}
