#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <string.h>

static const struct word min_versions[] = {{"1.2", TLS_MIN_1_2}, {"1.3", TLS_MIN_1_3}, {NULL, 0}};

/* CLIENT_AUTH_NONE is what a listener without client_ca has, and has no word. */
static const struct word client_auths[] = {
    {"require", CLIENT_AUTH_REQUIRE}, {"optional", CLIENT_AUTH_OPTIONAL}, {NULL, 0}};

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

const struct key_spec load_listen_keys[] = {
    {.name = "address",
        .load = load_listen_address,
        .offset = offsetof(struct listen_rule, address),
        .missing = "address: HOST:PORT, [V6]:PORT, :PORT or unix:/path"},
    {.name = "tls", .load = load_tls, .offset = offsetof(struct listen_rule, tls), .keys = tls_keys},
    KEY_REFUSED("proxy_protocol", "is not supported yet: take it out"),
    KEY_REFUSED("trusted_proxies", "is not supported yet: take it out"),
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
}

/* Port 0 is another one each time. */
static bool is_same_address(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == ENDPOINT_UNIX) {
        return strcmp(a->path, b->path) == 0 && a->path[0] != '\0';
    }
    return a->port == b->port && a->port != 0 && strcmp(a->host, b->host) == 0;
}

void load_listens(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    const struct rules *rules = into;
    load_list(l, value, spec, into);
    for (size_t i = 1; i < rules->listen_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!is_same_address(&rules->listens[i].address, &rules->listens[j].address)) {
                continue;
            }
            size_t entered = load_enter_index(l, (unsigned)i);
            LOAD_FAULT(l, rules->listens[i].at, "has the address of listen[%zu]: take one of them out", j);
            load_leave(l, entered);
            break;
        }
    }
}
