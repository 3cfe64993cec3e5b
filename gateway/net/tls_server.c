#include "net/tls_internal.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* The longest name that SNI or a certificate may hold (RFC 1035 2.3.4, and room). */
enum { NAME_MAX_LEN = 255, KEY_TYPES_MAX = 4 };

/* A client's certificates: more than any has, and little enough that looking at them holds nobody up. */
enum { CLIENT_CHAIN_BYTES = 32 * 1024, CLIENT_CHAIN_DEPTH = 10 };

/* The names of a certificate, lower case, sorted, each once. */
struct name_set {
    char **names;
    size_t count;
};

/* One SSL_CTX: the certificates for one set of names, each with a key of another type. */
struct certificate_group {
    SSL_CTX *context;
    struct name_set names;
    int key_types[KEY_TYPES_MAX];
    size_t key_type_count;
};

struct tls_server {
    bool tls13_only;
    struct certificate_group *groups; /* the first is the default */
    size_t group_count;
    bool ktls;
    int verify_mode;
    X509_STORE *client_authorities; /* NULL: clients are not asked */
    STACK_OF(X509_NAME) * client_authority_names;
    unsigned char vouched[EVP_MAX_MD_SIZE]; /* what a resumed session was asked for: vouch */
    unsigned vouched_len;
    const struct tls_tickets *tickets; /* NULL: OpenSSL's own, of this process */
};

/* ---- The names in a certificate. */

static void name_set_fini(struct name_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->names[i]);
    }
    free(set->names);
    *set = (struct name_set){0};
}

/* A name that is too long, or holds a NUL or a space, can never be asked for and is left out. */
static bool name_set_add(struct name_set *set, const unsigned char *bytes, size_t len)
{
    char name[NAME_MAX_LEN + 1];
    if (len == 0 || len > NAME_MAX_LEN) {
        return true;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] <= ' ' || bytes[i] >= 0x7f) {
            return true;
        }
        name[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] | 0x20 : bytes[i]);
    }
    name[len] = '\0';
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->names[i], name) == 0) {
            return true;
        }
    }
    char **names = reallocarray(set->names, set->count + 1, sizeof *names);
    if (names == NULL) {
        return false;
    }
    set->names = names;
    names[set->count] = strdup(name);
    if (names[set->count] == NULL) {
        return false;
    }
    set->count++;
    return true;
}

static bool add_common_name(struct name_set *set, const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return true;
    }
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, value);
    if (len < 0) {
        ERR_clear_error();
        return true;
    }
    bool fine = name_set_add(set, utf8, (size_t)len);
    OPENSSL_free(utf8);
    return fine;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The subject's common name counts only where there is no SAN at all (RFC 6125 6.4.4). */
static bool name_set_from(struct name_set *set, const X509 *cert)
{
    *set = (struct name_set){0};
    int found = 0; /* -1: there is none */
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(cert, NID_subject_alt_name, &found, NULL);
    bool fine = true;
    if (found == -1) {
        fine = add_common_name(set, cert);
    }
    for (int i = 0; fine && i < sk_GENERAL_NAME_num(alternatives); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(alternatives, i);
        if (one->type == GEN_DNS) {
            fine = name_set_add(
                set, ASN1_STRING_get0_data(one->d.dNSName), (size_t)ASN1_STRING_length(one->d.dNSName));
        }
    }
    GENERAL_NAMES_free(alternatives);
    if (!fine) {
        name_set_fini(set);
        return false;
    }
    if (set->count > 1) {
        qsort(set->names, set->count, sizeof *set->names, compare_names);
    }
    return true;
}

static bool name_set_eq(const struct name_set *a, const struct name_set *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->names[i], b->names[i]) == 0;
    }
    return same;
}

static bool name_set_has(const struct name_set *set, struct slice name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (slice_eq_nocase(slice_from(set->names[i]), name)) {
            return true;
        }
    }
    return false;
}

/* "*.example.com" stands for exactly one label before the rest (RFC 6125 6.4.3). */
static bool name_set_has_wildcard(const struct name_set *set, struct slice name)
{
    size_t dot = slice_find(name, '.');
    if (dot == 0 || dot == name.len) {
        return false;
    }
    struct slice rest = {name.p + dot, name.len - dot};
    for (size_t i = 0; i < set->count; i++) {
        struct slice pattern = slice_from(set->names[i]);
        if (pattern.len > 2 && pattern.p[0] == '*' && pattern.p[1] == '.' &&
            slice_eq_nocase((struct slice){pattern.p + 1, pattern.len - 1}, rest)) {
            return true;
        }
    }
    return false;
}

/* ---- Picking by SNI. */

static const struct certificate_group *find_group(const struct tls_server *server, struct slice name)
{
    if (name.len > 0 && name.p[name.len - 1] == '.') {
        name.len--;
    }
    for (size_t i = 0; i < server->group_count; i++) {
        if (name_set_has(&server->groups[i].names, name)) {
            return &server->groups[i];
        }
    }
    for (size_t i = 0; i < server->group_count; i++) {
        if (name_set_has_wildcard(&server->groups[i].names, name)) {
            return &server->groups[i];
        }
    }
    return NULL;
}

static int choose_by_name(SSL *ssl, int *alert, void *context)
{
    const struct tls_server *server = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    const struct certificate_group *group = find_group(server, slice_from(name));
    if (group == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    if (SSL_set_SSL_CTX(ssl, group->context) == NULL) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    /* Of these the switch carries the store and the names, not the mode. */
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(group->context), NULL);
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 3.2: a client that offers protocols, but not ours, is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
    const unsigned char *offered, unsigned offered_len, void *context)
{
    (void)ssl;
    (void)context;
    const struct slice http = SLICE("http/1.1");
    for (unsigned at = 0; at < offered_len; at += 1U + offered[at]) {
        struct slice one = {(const char *)offered + at + 1, offered[at]};
        if (at + 1U + offered[at] <= offered_len && slice_eq(one, http)) {
            *chosen = offered + at + 1;
            *chosen_len = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- Contexts. */

/* A session that resumes is not asked for its certificate again. So it only does where the same was asked
 * for: the authorities themselves and whether one is required are the id of what a ticket belongs to. */
static bool vouch(struct tls_server *server, const STACK_OF(X509) * authorities)
{
    static const char salt[] = "sluice";
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool fine = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, salt, sizeof salt) == 1 &&
                EVP_DigestUpdate(digest, &server->verify_mode, sizeof server->verify_mode) == 1;
    for (int i = 0; fine && i < sk_X509_num(authorities); i++) { /* -1 of none */
        unsigned char one[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        fine = X509_digest(sk_X509_value(authorities, i), EVP_sha256(), one, &len) == 1 &&
               EVP_DigestUpdate(digest, one, len) == 1;
    }
    fine = fine && EVP_DigestFinal_ex(digest, server->vouched, &server->vouched_len) == 1;
    EVP_MD_CTX_free(digest);
    return fine;
}

static bool show_authorities(const struct tls_server *server, SSL_CTX *context)
{
    SSL_CTX_set_verify(context, server->verify_mode, NULL);
    if (SSL_CTX_set_session_id_context(context, server->vouched, server->vouched_len) != 1) {
        return false;
    }
    if (server->client_authorities == NULL) {
        return true;
    }
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(server->client_authority_names);
    if (names == NULL) {
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set1_cert_store(context, server->client_authorities);
    return true;
}

/* AES-128 first: the price of a relayed byte is mostly this, and a quarter less of it. A client without AES
 * in its hardware, which says so by its order, gets ChaCha20. */
static const char suites_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char suites_1_2[] = "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20";

static int use_ticket_key(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    const struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int answer = tls_tickets_use(tickets, name, iv, cipher, mac, seals != 0);
    /* A client of TLS 1.3 uses a ticket once (RFC 8446 C.4), and so needs another one to come back again. */
    bool renews = seals == 0 && answer == TLS_TICKETS_FINE && SSL_version(ssl) == TLS1_3_VERSION;
    return renews ? TLS_TICKETS_TO_RENEW : answer;
}

static bool share_tickets(struct tls_server *server, SSL_CTX *context)
{
    return server->tickets == NULL ||
           (SSL_CTX_set_app_data(context, (void *)(uintptr_t)server->tickets) == 1 &&
               SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_ticket_key) == 1);
}

static SSL_CTX *context_new(struct tls_server *server)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        return NULL;
    }
    tls_transport_prepare(context);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets, kept by the clients, remain */
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, choose_by_name);
    SSL_CTX_set_max_cert_list(context, CLIENT_CHAIN_BYTES);
    SSL_CTX_set_verify_depth(context, CLIENT_CHAIN_DEPTH);
    if (SSL_CTX_set_tlsext_servername_arg(context, server) != 1 ||
        SSL_CTX_set_min_proto_version(context, server->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, suites_1_3) != 1 ||
        SSL_CTX_set_cipher_list(context, suites_1_2) != 1 || SSL_CTX_set_num_tickets(context, 1) != 1 ||
        !share_tickets(server, context) || !show_authorities(server, context)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static void group_fini(struct certificate_group *group)
{
    SSL_CTX_free(group->context);
    name_set_fini(&group->names);
}

/* The group for the same names that lacks a key of this type, or NULL. */
static struct certificate_group *group_to_join(
    struct tls_server *server, const struct name_set *names, int key_type)
{
    for (size_t i = 0; i < server->group_count; i++) {
        struct certificate_group *group = &server->groups[i];
        bool room = group->key_type_count < KEY_TYPES_MAX && name_set_eq(&group->names, names);
        for (size_t k = 0; room && k < group->key_type_count; k++) {
            room = group->key_types[k] != key_type;
        }
        if (room) {
            return group;
        }
    }
    return NULL;
}

/* Takes `names` over, also on failure. */
static bool add_group(struct tls_server *server, struct name_set *names, const struct tls_identity *identity,
    const char *cert_file, char why[TLS_WHY_MAX])
{
    struct certificate_group group = {.names = *names, .context = context_new(server)};
    struct certificate_group *groups = reallocarray(server->groups, server->group_count + 1, sizeof *groups);
    if (groups != NULL) {
        server->groups = groups;
    }
    bool fine = group.context != NULL && groups != NULL;
    if (!fine) {
        tls_pem_blame(why, cert_file, "no memory");
    }
    if (!fine || !tls_pem_use_identity(group.context, identity, cert_file, why)) {
        group_fini(&group);
        return false;
    }
    group.key_types[group.key_type_count++] = EVP_PKEY_get_base_id(identity->key);
    server->groups[server->group_count++] = group;
    return true;
}

static bool add_identity(struct tls_server *server, const struct tls_identity *identity,
    const char *cert_file, char why[TLS_WHY_MAX])
{
    struct name_set names;
    if (!name_set_from(&names, identity->cert)) {
        tls_pem_blame(why, cert_file, "no memory");
        return false;
    }
    int key_type = EVP_PKEY_get_base_id(identity->key);
    struct certificate_group *group = group_to_join(server, &names, key_type);
    if (group == NULL) {
        return add_group(server, &names, identity, cert_file, why);
    }
    name_set_fini(&names);
    if (!tls_pem_use_identity(group->context, identity, cert_file, why)) {
        return false;
    }
    group->key_types[group->key_type_count++] = key_type;
    return true;
}

/* ---- The interface. */

struct tls_server *tls_server_new(bool tls13_only)
{
    struct tls_server *server = calloc(1, sizeof *server);
    if (server != NULL) {
        server->tls13_only = tls13_only;
        server->verify_mode = SSL_VERIFY_NONE;
        if (!vouch(server, NULL)) {
            free(server);
            server = NULL;
        }
    }
    return server;
}

void tls_server_share_tickets(struct tls_server *server, const struct tls_tickets *tickets)
{
    server->tickets = tickets;
}

void tls_server_use_ktls(struct tls_server *server)
{
    server->ktls = true;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < server->group_count; i++) {
        group_fini(&server->groups[i]);
    }
    free(server->groups);
    tls_alloc_thread_fini();
    X509_STORE_free(server->client_authorities);
    sk_X509_NAME_pop_free(server->client_authority_names, X509_NAME_free);
    free(server);
}

bool tls_server_add_certificate(struct tls_server *server, const char *cert_file, const char *key_file,
    char why[TLS_WHY_MAX], enum tls_blamed *blamed)
{
    why[0] = '\0';
    struct tls_identity identity;
    enum tls_blamed unasked;
    if (!tls_pem_load_identity(&identity, cert_file, key_file, why, blamed != NULL ? blamed : &unasked)) {
        return false;
    }
    bool fine = add_identity(server, &identity, cert_file, why);
    tls_pem_identity_fini(&identity);
    return fine;
}

static STACK_OF(X509_NAME) * subjects(const STACK_OF(X509) * certificates)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    for (int i = 0; names != NULL && i < sk_X509_num(certificates); i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(certificates, i)));
        if (name == NULL || sk_X509_NAME_push(names, name) == 0) {
            X509_NAME_free(name);
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            names = NULL;
        }
    }
    return names;
}

bool tls_server_ask_client(
    struct tls_server *server, const char *ca_file, bool require, char why[TLS_WHY_MAX])
{
    why[0] = '\0';
    STACK_OF(X509) *certificates = tls_pem_load_certificates(ca_file, why);
    if (certificates == NULL) {
        return false;
    }
    X509_STORE *store = tls_pem_store(certificates, ca_file, why);
    STACK_OF(X509_NAME) *names = store != NULL ? subjects(certificates) : NULL;
    server->verify_mode = SSL_VERIFY_PEER | (require ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    bool vouched = vouch(server, certificates);
    sk_X509_pop_free(certificates, X509_free);
    if (names == NULL || !vouched) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        X509_STORE_free(store);
        tls_pem_blame(why, ca_file, "no memory");
        return false;
    }
    X509_STORE_free(server->client_authorities);
    sk_X509_NAME_pop_free(server->client_authority_names, X509_NAME_free);
    server->client_authorities = store;
    server->client_authority_names = names;
    for (size_t i = 0; i < server->group_count; i++) {
        if (!show_authorities(server, server->groups[i].context)) {
            tls_pem_blame(why, ca_file, "no memory");
            return false;
        }
    }
    return true;
}

struct transport *tls_accept_new(struct tls_server *server, int fd)
{
    ERR_clear_error();
    SSL *ssl = server->group_count > 0 ? SSL_new(server->groups[0].context) : NULL;
    if (ssl == NULL) {
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return tls_transport_new(ssl, fd, server->ktls);
}
