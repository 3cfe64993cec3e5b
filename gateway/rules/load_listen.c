#include "base/text.h"
#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <string.h>

static const struct word min_versions[] = {{"1.2", TLS_MIN_1_2}, {"1.3", TLS_MIN_1_3}, {NULL, 0}};

/* CLIENT_AUTH_NONE is what a listener without client_ca has, and has no word. */
static const struct word client_auths[] = {
    {"require", CLIENT_AUTH_REQUIRE}, {"optional", CLIENT_AUTH_OPTIONAL}, {NULL, 0}};

static const struct word ktls_choices[] = {{"auto", KTLS_AUTO}, {"off", KTLS_OFF}, {NULL, 0}};
static const struct word proxy_protocols[] = {{"off", false}, {"require", true}, {NULL, 0}};

enum { FD_NAME_MAX = 255 }; /* sd_pid_notify_with_fds(3) */

static const struct key_spec certificate_keys[] = {
    {.name = "cert",
        .load = load_path,
        .offset = offsetof(struct certificate_rule, cert),
        .has_place = true,
        .place_offset = offsetof(struct certificate_rule, cert_at),
        .missing = "cert: FILE, the certificate and its chain in PEM"},
    {.name = "key",
        .load = load_path,
        .offset = offsetof(struct certificate_rule, key),
        .has_place = true,
        .place_offset = offsetof(struct certificate_rule, key_at),
        .missing = "key: FILE, the certificate's private key in PEM"},
    {.name = NULL},
};

static void load_certificate(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    load_map(l, item, spec->keys, into);
}

static const struct key_spec tls_keys[] = {
    {.name = "certificates",
        .load = load_list,
        .offset = offsetof(struct listen_tls_rule, certificates),
        .count_offset = offsetof(struct listen_tls_rule, certificate_count),
        .item_size = sizeof(struct certificate_rule),
        .load_item = load_certificate,
        .keys = certificate_keys,
        .missing = "certificates: {cert: FILE, key: FILE}"},
    KEY_WORD("min_version", struct listen_tls_rule, min_version, min_versions),
    KEY_PATH("client_ca", struct listen_tls_rule, client_ca, client_ca_at),
    KEY_WORD("client_auth", struct listen_tls_rule, client_auth, client_auths),
    KEY_WORD("ktls", struct listen_tls_rule, ktls, ktls_choices),
    {.name = NULL},
};

static void load_tls(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct listen_tls_rule *tls = load_alloc(l, sizeof *tls);
    if (!tls) {
        return;
    }
    memcpy((char *)into + spec->offset, &tls, sizeof tls);
    load_map(l, value, spec->keys, tls);
    if (value->kind != TREE_MAP) {
        return;
    }
    bool asks = yaml_tree_find(value, SLICE("client_ca")) != NULL;
    const struct tree_node *auth = yaml_tree_find(value, SLICE("client_auth"));
    if (asks && !auth) {
        tls->client_auth = CLIENT_AUTH_REQUIRE;
    }
    if (auth && !asks) {
        size_t entered = load_enter(l, "client_auth");
        LOAD_FAULT(
            l, auth->key_at, "needs client_ca: write client_ca: FILE, the CA that clients are asked for");
        load_leave(l, entered);
    }
}

/* ---- Where it listens */

static void load_fd_name(
    struct loader *l, const struct tree_node *value, struct slice name, struct listen_rule *listen)
{
    char shown[YAML_TREE_SHOWN_MAX];
    bool fine = name.len > 0 && name.len <= FD_NAME_MAX && slice_find(name, ':') == name.len;
    for (size_t i = 0; fine && i < name.len; i++) {
        fine = name.p[i] > ' ' && name.p[i] < 0x7F;
    }
    if (fine) {
        listen->fd_name = load_copy(l, name);
        return;
    }
    yaml_tree_show(value->text, shown);
    LOAD_FAULT(l, value->at,
        "\"%s\" names no socket: write fd:NAME with the FileDescriptorName= of the service manager's socket",
        shown);
}

static void load_listen_address(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    const struct slice fd = SLICE("fd:");
    if (value->kind == TREE_SCALAR && slice_starts(value->text, fd)) {
        struct slice name = {value->text.p + fd.len, value->text.len - fd.len};
        load_fd_name(l, value, name, into);
    } else {
        load_address(l, value, spec, into);
    }
}

/* Three octal digits, or four with a 0 before them. */
static bool read_mode(struct slice text, uint32_t *mode)
{
    bool fine = text.len == 3 || (text.len == 4 && text.p[0] == '0');
    *mode = 0;
    for (size_t i = 0; fine && i < text.len; i++) {
        fine = text.p[i] >= '0' && text.p[i] <= '7';
        *mode = *mode << 3 | (uint32_t)(text.p[i] - '0');
    }
    return fine;
}

static void load_mode(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    const uint32_t writers = 0222;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    uint32_t mode;
    if (!load_text(l, value, &text)) {
        return;
    }
    yaml_tree_show(text, shown);
    if (!read_mode(text, &mode)) {
        LOAD_FAULT(l, value->at, "\"%s\" is no mode of a file: write mode: \"0660\"", shown);
    } else if ((mode & writers) == 0) {
        LOAD_FAULT(l, value->at,
            "\"%s\" lets nobody connect, which takes permission to write: write mode: \"0660\"", shown);
    } else {
        memcpy((char *)into + spec->offset, &mode, sizeof mode);
    }
}

/* Told by the text: an address that is wrong has its own fault. */
static void check_mode(struct loader *l, const struct tree_node *map)
{
    const struct tree_node *mode = yaml_tree_find(map, SLICE("mode"));
    const struct tree_node *address = yaml_tree_find(map, SLICE("address"));
    if (mode == NULL || address == NULL || address->kind != TREE_SCALAR ||
        slice_starts(address->text, SLICE("unix:"))) {
        return;
    }
    size_t entered = load_enter(l, "mode");
    LOAD_FAULT(l, mode->key_at, "%s: leave it out",
        slice_starts(address->text, SLICE("fd:"))
            ? "is the service manager's to set (SocketMode=)"
            : "is for the file of a unix socket, and this address has none");
    load_leave(l, entered);
}

/* ---- Who stands in front of it */

static void load_proxy_protocol(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct key_spec of_word = *spec;
    unsigned word = false;
    of_word.offset = 0;
    load_word(l, value, &of_word, &word);
    ((struct listen_rule *)into)->proxy_protocol = word;
}

/* "unix:" is no network: it goes out of the list. */
static void load_trusted_proxies(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct listen_rule *listen = into;
    load_list(l, value, spec, into);
    const struct tree_node *item = value->kind == TREE_LIST ? value->first : value;
    size_t networks = 0;
    for (size_t i = 0; i < listen->trusted_proxy_count; i++, item = item->next) {
        if (item->kind == TREE_SCALAR && slice_eq(item->text, SLICE("unix:"))) {
            listen->trusts_unix = true;
        } else {
            listen->trusted_proxies[networks++] = listen->trusted_proxies[i];
        }
    }
    listen->trusted_proxy_count = networks;
}

/* A header that is required and believed of nobody would refuse everybody. Which kind a socket of the service
 * manager is, is not known here. */
static void check_trust(struct loader *l, const struct tree_node *map, const struct listen_rule *listen)
{
    const struct tree_node *node = yaml_tree_find(map, SLICE("proxy_protocol"));
    bool is_unix = !listen->fd_name && listen->address.kind == ENDPOINT_UNIX;
    bool is_inet = !listen->fd_name && !is_unix;
    bool trusts = (!is_unix && listen->trusted_proxy_count > 0) || (!is_inet && listen->trusts_unix);
    if (!listen->proxy_protocol || trusts || load_was_meant(map, load_listen_keys, "trusted_proxies")) {
        return;
    }
    size_t entered = load_enter(l, "proxy_protocol");
    LOAD_FAULT(l, node->key_at,
        is_unix ? "needs trusted_proxies: write trusted_proxies: \"unix:\", for all that connect through "
                  "this socket"
                : "needs trusted_proxies: write trusted_proxies: [10.0.0.5], the addresses that the proxies "
                  "connect from");
    load_leave(l, entered);
}

const struct key_spec load_listen_keys[] = {
    {.name = "address",
        .load = load_listen_address,
        .offset = offsetof(struct listen_rule, address),
        .missing = "address: HOST:PORT, [V6]:PORT, :PORT, unix:/path or fd:NAME"},
    {.name = "mode", .load = load_mode, .offset = offsetof(struct listen_rule, mode)},
    {.name = "tls", .load = load_tls, .offset = offsetof(struct listen_rule, tls), .keys = tls_keys},
    {.name = "proxy_protocol", .load = load_proxy_protocol, .words = proxy_protocols},
    {.name = "trusted_proxies",
        .load = load_trusted_proxies,
        .offset = offsetof(struct listen_rule, trusted_proxies),
        .count_offset = offsetof(struct listen_rule, trusted_proxy_count),
        .item_size = sizeof(struct ip_net),
        .load_item = load_trusted_proxy},
    {.name = NULL},
};

void load_listen_item(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    struct listen_rule *listen = into;
    struct endpoint endpoint;
    uint64_t port = 0;
    listen->at = item->at;
    if (item->kind == TREE_SCALAR) {
        bool is_port = slice_to_u64(item->text, UINT16_MAX, &port);
        bool is_address = endpoint_parse(item->text, &endpoint, NULL);
        load_tell_scalar(l, item, spec, "address", is_port ? ":" : is_address ? "" : NULL);
        return;
    }
    load_map(l, item, spec->keys, listen);
    if (item->kind == TREE_MAP) {
        check_trust(l, item, listen);
        check_mode(l, item);
    }
}

static void tell_taken(struct loader *l, size_t index, const char *what, size_t by)
{
    size_t entered = load_enter_index(l, (unsigned)index);
    LOAD_FAULT(l, l->rules->listens[index].at, "has the %s of listen[%zu]: take one of them out", what, by);
    load_leave(l, entered);
}

void load_listens(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    const struct rules *rules = into;
    load_list(l, value, spec, into);
    for (size_t i = 1; i < rules->listen_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct listen_rule *a = &rules->listens[i], *b = &rules->listens[j];
            bool same_socket = a->fd_name && b->fd_name && strcmp(a->fd_name, b->fd_name) == 0;
            if (same_socket || load_is_same_address(&a->address, &b->address)) {
                tell_taken(l, i, same_socket ? "socket" : "address", j);
                break;
            }
        }
    }
}
