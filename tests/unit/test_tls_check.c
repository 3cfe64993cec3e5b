/* What an operator is told of the files that a configuration names. */
#include "made_certs.h"
#include "net/tls.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char why[TLS_WHY_MAX];

/* `why` is "FILE: WHAT", FILE being in the folder of the test. */
static void expect_why(const char *file, const char *what)
{
    char wanted[TLS_WHY_MAX * 2];
    (void)snprintf(wanted, sizeof wanted, "%s: %s", made_certs_path(file), what);
    assert_string_equal(wanted, why);
}

/* What a check told: one line each, "cert" or "key", "error" or "warning", FILE: WHAT. */
static char told[8 * TLS_WHY_MAX];

static void hear(void *context, enum tls_blamed file, bool warning, const char *what)
{
    assert_ptr_equal(context, told);
    size_t len = strlen(told);
    (void)snprintf(told + len, sizeof told - len, "%s %s %s\n", file == TLS_BLAMED_KEY ? "key" : "cert",
        warning ? "warning" : "error", what);
}

static void check_as(enum tls_role role, const char *cert, const char *key)
{
    told[0] = '\0';
    tls_check_pair(cert != NULL ? made_certs_path(cert) : NULL, key != NULL ? made_certs_path(key) : NULL,
        role, hear, told);
}

/* `kind` is "cert error" and so on, `file` is in the folder of the test. */
static void expect_told(const char *kind, const char *file, const char *what)
{
    char wanted[TLS_WHY_MAX * 2];
    (void)snprintf(wanted, sizeof wanted, "%s %s: %s\n", kind, made_certs_path(file), what);
    assert_string_equal(wanted, told);
}

static void faults_of_a_certificate(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *key;
        enum tls_blamed blamed;
        const char *at, *what; /* NULL: fine */
    } cases[] = {
        {"good.crt", "good.key", TLS_BLAMED_CERT, NULL, NULL},
        {"missing.crt", "good.key", TLS_BLAMED_CERT, "missing.crt",
            "cannot be read: No such file or directory"},
        {"good.crt", "missing.key", TLS_BLAMED_KEY, "missing.key",
            "cannot be read: No such file or directory"},
        {"", "good.key", TLS_BLAMED_CERT, "", "is a folder: write the name of a PEM file"},
        {"fifo", "good.key", TLS_BLAMED_CERT, "fifo", "is not a regular file: write the name of a PEM file"},
        {"good.crt", "fifo", TLS_BLAMED_KEY, "fifo", "is not a regular file: write the name of a PEM file"},
        {"empty", "good.key", TLS_BLAMED_CERT, "empty", "holds no PEM certificate"},
        {"good.key", "good.key", TLS_BLAMED_CERT, "good.key", "holds no PEM certificate"},
        {"good.crt", "good.crt", TLS_BLAMED_KEY, "good.crt", "holds no PEM private key"},
        {"good.crt", "text", TLS_BLAMED_KEY, "text", "holds no PEM private key"},
        {"good.crt", "secret.key", TLS_BLAMED_KEY, "secret.key",
            "is protected by a passphrase: give a key without one (openssl pkey -in ...)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *cert = made_certs_path(cases[i].cert), *key = made_certs_path(cases[i].key);
        struct tls_server *server = tls_server_new(false);
        enum tls_blamed blamed = TLS_BLAMED_CERT;
        bool of_key = cases[i].blamed == TLS_BLAMED_KEY;
        check_as(TLS_ROLE_SERVER, cases[i].cert, cases[i].key);
        if (cases[i].at == NULL) {
            assert_string_equal("", told);
        } else {
            expect_told(of_key ? "key error" : "cert error", cases[i].at, cases[i].what);
        }
        /* The gateway says the same as the check. */
        memset(why, 'x', sizeof why - 1);
        assert_int_equal(cases[i].at == NULL, tls_server_add_certificate(server, cert, key, why, &blamed));
        if (cases[i].at != NULL) {
            expect_why(cases[i].at, cases[i].what);
            assert_int_equal(cases[i].blamed, blamed);
        }
        tls_server_free(server);
    }
}

/* Each is looked at, whatever the other is like. */
static void a_bad_certificate_does_not_hide_a_bad_key(void **state)
{
    (void)state;
    char wanted[4 * TLS_WHY_MAX];
    check_as(TLS_ROLE_SERVER, "empty", "text");
    (void)snprintf(wanted, sizeof wanted,
        "cert error %s: holds no PEM certificate\nkey error %s: holds no PEM private key\n",
        made_certs_path("empty"), made_certs_path("text"));
    assert_string_equal(wanted, told);
    check_as(TLS_ROLE_SERVER, NULL, "text");
    expect_told("key error", "text", "holds no PEM private key");
    check_as(TLS_ROLE_SERVER, "empty", NULL);
    expect_told("cert error", "empty", "holds no PEM certificate");
    check_as(TLS_ROLE_SERVER, "good.crt", NULL);
    assert_string_equal("", told);
}

static void a_key_that_belongs_elsewhere(void **state)
{
    (void)state;
    char what[TLS_WHY_MAX];
    enum tls_blamed blamed = TLS_BLAMED_CERT;
    struct tls_server *server = tls_server_new(false);
    check_as(TLS_ROLE_SERVER, "good.crt", "other.key");
    (void)snprintf(what, sizeof what, "does not belong to %s", made_certs_path("good.crt"));
    expect_told("key error", "other.key", what);
    assert_false(tls_server_add_certificate(
        server, made_certs_path("good.crt"), made_certs_path("other.key"), why, &blamed));
    expect_why("other.key", what);
    assert_int_equal(TLS_BLAMED_KEY, blamed);
    tls_server_free(server);
}

static void a_damaged_certificate(void **state)
{
    (void)state;
    made_certs_write("damaged.crt", "-----BEGIN CERTIFICATE-----\nMIIBkTCB+w==\n-----END CERTIFICATE-----\n");
    check_as(TLS_ROLE_SERVER, "damaged.crt", "good.key");
    assert_non_null(strstr(told, "damaged.crt: its certificate number 1 is damaged: "));
    assert_false(tls_check_ca(made_certs_path("damaged.crt"), why));
    assert_non_null(strstr(why, "damaged.crt: its certificate number 1 is damaged: "));
}

/* They can be used, and nobody would come in. */
static void keys_that_no_peer_takes_are_warned_of(void **state)
{
    (void)state;
    made_certs_make(&(struct made_cert){.name = "dsa", .dsa = true});
    check_as(TLS_ROLE_SERVER, "dsa.crt", "dsa.key");
    expect_told("cert warning", "dsa.crt",
        "has a key of type DSA, which no usual client takes: make one with ECDSA P-256 or RSA");

    made_certs_make(&(struct made_cert){.name = "k1", .curve = "secp256k1"});
    check_as(TLS_ROLE_SERVER, "k1.crt", "k1.key");
    expect_told("cert warning", "k1.crt",
        "has a key on the curve secp256k1, which no usual client takes: make one with P-256");
    check_as(TLS_ROLE_CLIENT, "k1.crt", "k1.key");
    expect_told("cert warning", "k1.crt",
        "has a key on the curve secp256k1, which no usual server takes: make one with P-256");

    static const struct made_cert fine[] = {{.name = "fine", .rsa = true}, {.name = "fine", .curve = "P-384"},
        {.name = "fine", .curve = "P-521"}};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        made_certs_make(&fine[i]);
        check_as(TLS_ROLE_SERVER, "fine.crt", "fine.key");
        assert_string_equal("", told);
    }
}

static void purposes_are_warned_of(void **state)
{
    (void)state;
    made_certs_make(&(struct made_cert){.name = "both", .purpose = "clientAuth,serverAuth"});
    check_as(TLS_ROLE_SERVER, "both.crt", "both.key");
    assert_string_equal("", told);
    check_as(TLS_ROLE_CLIENT, "both.crt", "both.key");
    assert_string_equal("", told);

    made_certs_make(&(struct made_cert){.name = "client", .purpose = "clientAuth"});
    check_as(TLS_ROLE_CLIENT, "client.crt", "client.key");
    assert_string_equal("", told);
    check_as(TLS_ROLE_SERVER, "client.crt", "client.key");
    expect_told("cert warning", "client.crt", "its extended key usage lacks serverAuth: clients refuse it");

    made_certs_make(&(struct made_cert){.name = "server", .purpose = "serverAuth"});
    check_as(TLS_ROLE_CLIENT, "server.crt", "server.key");
    expect_told("cert warning", "server.crt", "its extended key usage lacks clientAuth: servers refuse it");
}

/* "FILE: SAYS DATE", the date being `days` from now; midnight may have passed since the file was made. */
static void expect_date(const char *file, const char *says, int days)
{
    char what[64];
    for (time_t ago_s = 60; ago_s >= 0; ago_s -= 60) {
        struct tm date;
        time_t then = time(NULL) - ago_s + (time_t)days * 24 * 60 * 60;
        assert_non_null(gmtime_r(&then, &date));
        size_t len = (size_t)snprintf(what, sizeof what, "%s ", says);
        strftime(what + len, sizeof what - len, "%Y-%m-%d", &date);
        if (strstr(why, what) != NULL) {
            break;
        }
    }
    expect_why(file, what);
}

/* Puts the one warning that was told of a certificate into `why`. */
static void take_warning(void)
{
    static const char kind[] = "cert warning ";
    size_t len = strlen(told);
    assert_true(len > 0 && told[len - 1] == '\n' && len < sizeof why + sizeof kind);
    assert_memory_equal(told, kind, sizeof kind - 1);
    (void)snprintf(why, sizeof why, "%.*s", (int)(len - sizeof kind), told + sizeof kind - 1);
}

/* Dates are warnings: a clock may be wrong, and the file can be used. */
static void dates_are_warned_of(void **state)
{
    (void)state;
    made_certs_make(&(struct made_cert){.name = "old", .from_days = -20, .until_days = -10});
    check_as(TLS_ROLE_SERVER, "old.crt", "old.key");
    take_warning();
    expect_date("old.crt", "expired on", -10);
    assert_true(tls_check_ca(made_certs_path("old.crt"), why));
    expect_date("old.crt", "expired on", -10);

    made_certs_make(&(struct made_cert){.name = "early", .from_days = 10, .until_days = 20});
    check_as(TLS_ROLE_SERVER, "early.crt", "early.key");
    take_warning();
    expect_date("early.crt", "is not valid before", 10);
}

static void faults_of_an_authority(void **state)
{
    (void)state;
    assert_true(tls_check_ca(made_certs_path("good.crt"), why));
    assert_string_equal("", why);
    assert_false(tls_check_ca(made_certs_path("missing.crt"), why));
    expect_why("missing.crt", "cannot be read: No such file or directory");
    assert_false(tls_check_ca(made_certs_path("text"), why));
    expect_why("text", "holds no PEM certificate");

    struct tls_server *server = tls_server_new(false);
    assert_false(tls_server_ask_client(server, made_certs_path("text"), true, why));
    expect_why("text", "holds no PEM certificate");
    tls_server_free(server);
}

static void faults_of_a_client(void **state)
{
    (void)state;
    struct tls_client_options options = {.server_name = "a.test", .verify = true};
    options.ca_file = made_certs_path("text");
    assert_null(tls_client_new(&options, why));
    expect_why("text", "holds no PEM certificate");

    options.ca_file = made_certs_path("good.crt");
    options.cert_file = made_certs_path("good.crt");
    options.key_file = made_certs_path("text");
    assert_null(tls_client_new(&options, why));
    expect_why("text", "holds no PEM private key");

    options.cert_file = options.key_file = NULL;
    options.server_name = NULL;
    assert_null(tls_client_new(&options, why));
    assert_string_equal("server name: is missing: without one nothing can be verified", why);

    options.server_name = "";
    assert_null(tls_client_new(&options, why));
    assert_string_equal("server name: \"\" is neither a host name nor an address", why);
}

static void of_a_long_name_the_end_is_shown(void **state)
{
    (void)state;
    char name[1001];
    memset(name, 'n', sizeof name - 1);
    memcpy(name + 996, ".crt", 5);
    assert_false(tls_check_ca(name, why));
    assert_memory_equal("...nnn", why, 6);
    assert_non_null(strstr(why, "nnn.crt: cannot be read: File name too long"));
}

static int set_up(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "good"});
    made_certs_make(&(struct made_cert){.name = "other"});
    made_certs_write("empty", "");
    if (mkfifo(made_certs_path("fifo"), 0600) != 0) {
        return -1;
    }
    (void)alarm(60); /* to wait for a FIFO's writer would be for ever */
    made_certs_write("text", "certificates are to be had from the operator\n");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *stream = fopen(made_certs_path("secret.key"), "we");
    int written = stream != NULL &&
                  PEM_write_PKCS8PrivateKey(stream, key, EVP_aes_128_cbc(), "passphrase", 10, NULL, NULL);
    EVP_PKEY_free(key);
    return written == 1 && fclose(stream) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    made_certs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_a_certificate),
        cmocka_unit_test(a_bad_certificate_does_not_hide_a_bad_key),
        cmocka_unit_test(a_key_that_belongs_elsewhere),
        cmocka_unit_test(a_damaged_certificate),
        cmocka_unit_test(keys_that_no_peer_takes_are_warned_of),
        cmocka_unit_test(purposes_are_warned_of),
        cmocka_unit_test(dates_are_warned_of),
        cmocka_unit_test(faults_of_an_authority),
        cmocka_unit_test(faults_of_a_client),
        cmocka_unit_test(of_a_long_name_the_end_is_shown),
    };
    return cmocka_run_group_tests_name("tls_check", tests, set_up, tear_down);
}
