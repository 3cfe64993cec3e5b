#include "base/text.h"
#include "rules/load_internal.h"

#include <string.h>

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

bool load_unix(struct loader *l, struct place at, struct slice text, struct endpoint *out)
{
    const struct slice scheme = SLICE("unix:");
    struct slice path = {text.p + scheme.len, text.len - scheme.len};
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

bool load_is_digits(struct slice text)
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
    LOAD_FAULT(l, at, "\"%s\" %s", shown, load_is_digits(text) ? "is no port: a port is 0 to 65535" : why);
    return false;
}

void load_address(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
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

static bool is_same_host(const char *a, const char *b)
{
    struct ip_addr one, other;
    if (ip_parse(slice_from(a), &one) && ip_parse(slice_from(b), &other)) {
        return memcmp(one.bytes, other.bytes, sizeof one.bytes) == 0;
    }
    return slice_eq_nocase(slice_from(a), slice_from(b));
}

bool load_is_same_address(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case ENDPOINT_UNIX:
        return strcmp(a->path, b->path) == 0 && a->path[0] != '\0';
    case ENDPOINT_INET:
        return a->port == b->port && a->port != 0 && is_same_host(a->host, b->host);
    }
    return false;
}

/* ---- Names */

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
