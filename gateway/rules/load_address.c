#include "base/text.h"
#include "rules/load_internal.h"

#include <string.h>

static struct slice without(struct slice s, struct slice prefix)
{
    return (struct slice){s.p + prefix.len, s.len - prefix.len};
}

/* ---- Paths */

const char *load_resolve(struct loader *l, struct slice path)
{
    if (path.p[0] == '/' || l->folder.len == 0) {
        return load_copy(l, path);
    }
    char *joined = load_alloc(l, l->folder.len + path.len + 1);
    if (!joined) {
        return NULL;
    }
    memcpy(joined, l->folder.p, l->folder.len);
    memcpy(joined + l->folder.len, path.p, path.len);
    return joined;
}

void load_path(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    if (!load_text(l, value, &text)) {
        return;
    }
    if (text.p[0] == '~') {
        LOAD_FAULT(l, value->at, "starts with \"~\", which only a shell understands: write the whole path");
        return;
    }
    const char *path = load_resolve(l, text);
    memcpy((char *)into + spec->offset, &path, sizeof path);
    if (spec->has_place) {
        memcpy((char *)into + spec->place_offset, &value->at, sizeof value->at);
    }
}

/* ---- Addresses */

bool load_is_host(struct slice host)
{
    struct endpoint endpoint;
    char array[ENDPOINT_TEXT_MAX + 8];
    struct text t;
    text_init(&t, array, sizeof array);
    text_add(&t, host);
    text_add(&t, SLICE(":1"));
    return host.len > 0 && !t.cut && !slice_starts(host, SLICE("unix:")) &&
           endpoint_parse(text_slice(&t), &endpoint, NULL);
}

/* `unix:PATH` with its path made relative to the configuration. */
static bool load_unix(struct loader *l, struct place at, struct slice text, struct endpoint *out)
{
    const struct slice scheme = SLICE("unix:");
    struct slice path = without(text, scheme);
    char shown[YAML_TREE_SHOWN_MAX];
    yaml_tree_show(text, shown);
    if (slice_starts(path, SLICE("//"))) {
        LOAD_FAULT(l, at, "\"%s\" has slashes that do not belong there: write unix:/path/to/socket", shown);
        return false;
    }
    const char *resolved = path.len > 0 ? load_resolve(l, path) : "";
    if (!resolved) {
        return false;
    }
    char *whole = load_alloc(l, scheme.len + strlen(resolved) + 1);
    if (!whole) {
        return false;
    }
    memcpy(whole, scheme.p, scheme.len);
    memcpy(whole + scheme.len, resolved, strlen(resolved));
    const char *why = "";
    if (endpoint_parse(slice_from(whole), out, &why)) {
        return true;
    }
    LOAD_FAULT(l, at, "\"%s\" %s", shown, why);
    return false;
}

static bool is_digits(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.p[n] >= '0' && text.p[n] <= '9') {
        n++;
    }
    return n > 0 && n == text.len;
}

bool load_endpoint(struct loader *l, struct place at, struct slice text, struct endpoint *out)
{
    const char *why = "";
    char shown[YAML_TREE_SHOWN_MAX];
    if (slice_starts(text, SLICE("unix:"))) {
        return load_unix(l, at, text, out);
    }
    if (endpoint_parse(text, out, &why)) {
        return true;
    }
    yaml_tree_show(text, shown);
    LOAD_FAULT(l, at, "\"%s\" %s", shown, is_digits(text) ? "is no port: a port is 0 to 65535" : why);
    return false;
}

void load_listen_address(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    struct endpoint endpoint;
    uint64_t port = 0;
    if (!load_text(l, value, &text)) {
        return;
    }
    if (slice_to_u64(text, UINT16_MAX, &port)) {
        LOAD_FAULT(l, value->at, "is a port alone: write \":%u\" for every address, or 127.0.0.1:%u",
            (unsigned)port, (unsigned)port);
    } else if (load_endpoint(l, value->at, text, &endpoint)) {
        memcpy((char *)into + spec->offset, &endpoint, sizeof endpoint);
    }
}

/* ---- Targets */

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

bool load_target_text(struct loader *l, struct place at, struct slice text, struct target_rule *out)
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
    if (is_digits(text)) {
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

void load_target(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    if (value->kind == TREE_LIST && value->count == 1) {
        value = value->first; /* a key that takes a list, later, takes one value too */
    }
    if (value->kind == TREE_LIST) {
        LOAD_FAULT(l, value->at, "several targets are not supported yet: write one");
        return;
    }
    if (!load_text(l, value, &text)) {
        return;
    }
    struct target_rule *target = load_alloc(l, sizeof *target);
    if (target && load_target_text(l, value->at, text, target)) {
        memcpy((char *)into + spec->offset, &target, sizeof target);
        ((struct route *)into)->target_count = 1;
    }
}

void load_server_name(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    struct ip_addr addr;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!load_text(l, value, &text)) {
        return;
    }
    if (!ip_parse(text, &addr) && (!load_is_host(text) || text.p[0] == '[')) {
        yaml_tree_show(text, shown);
        LOAD_FAULT(
            l, value->at, "\"%s\" is not a host name: write the name in the target's certificate", shown);
        return;
    }
    const char *name = load_copy(l, text);
    memcpy((char *)into + spec->offset, &name, sizeof name);
}
