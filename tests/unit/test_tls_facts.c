/* What a handshake told of the client is the same whoever encrypts behind it. */
#include "made_certs.h"
#include "net/tls.h"
#include <dlfcn.h>
#include <openssl/bio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static char why[TLS_WHY_MAX];

/* A kernel that took the keys, as the gateway's own code is told; OpenSSL, which asks as well, is told how it
 * is. */
static bool kernel_has_keys;

static bool is_ours(const void *code)
{
    Dl_info one;
    Dl_info other;
    return dladdr(code, &one) != 0 && dladdr((const void *)&kernel_has_keys, &other) != 0 &&
           one.dli_fbase == other.dli_fbase;
}

long BIO_ctrl(BIO *bio, int command, long number, void *pointer)
{
    static long (*real)(BIO *, int, long, void *);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "BIO_ctrl");
        memcpy(&real, &found, sizeof real);
    }
    if (kernel_has_keys && command == BIO_CTRL_GET_KTLS_SEND && is_ours(__builtin_return_address(0))) {
        return 1;
    }
    return real(bio, command, number, pointer);
}

static void assert_facts(bool ktls)
{
    struct tls_server *server = tls_server_new(false);
    assert_non_null(server);
    assert_true(tls_server_add_certificate(
        server, made_certs_path("localhost.crt"), made_certs_path("localhost.key"), why, NULL));
    if (ktls) {
        tls_server_use_ktls(server);
    }
    struct tls_client_options options = {.ca_file = made_certs_path("ca.crt"), .server_name = "localhost"};
    struct tls_client *client = tls_client_new(&options, why);
    assert_non_null(client);
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    struct transport *near = tls_accept_new(server, fds[0]);
    struct transport *far = tls_connect_new(client, fds[1]);
    assert_non_null(near);
    assert_non_null(far);
    enum io_status status = IO_WANT_READ;
    for (int i = 0; i < 20 && status == IO_WANT_READ; i++) {
        (void)far->ops->handshake(far);
        status = near->ops->handshake(near).status;
    }
    assert_int_equal(IO_OK, status);
    assert_int_equal(ktls && kernel_has_keys, near->ops->write_pipe != NULL);

    struct tls_facts facts;
    assert_true(tls_facts_of(near, &facts));
    assert_string_equal("localhost", facts.server_name);
    assert_string_equal("TLSv1.3", facts.version);
    assert_false(facts.has_cert);
    far->ops->close(far, false);
    near->ops->close(near, false);
    tls_client_free(client);
    tls_server_free(server);
}

static void test_openssl_encrypts(void **state)
{
    (void)state;
    assert_facts(false);
}

static void test_the_kernel_encrypts(void **state)
{
    (void)state;
    kernel_has_keys = true;
    assert_facts(true);
    kernel_has_keys = false;
}

static void test_nobody_encrypts(void **state)
{
    (void)state;
    int fds[2];
    struct tls_facts facts;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    struct transport *plain = transport_plain_new(fds[0]);
    assert_non_null(plain);
    assert_false(tls_facts_of(plain, &facts));
    plain->ops->close(plain, false);
    transport_close_fd(fds[1], false);
}

static int set_up(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "ca"});
    made_certs_make(&(struct made_cert){.name = "localhost", .issuer = "ca", .san = "DNS:localhost"});
    return 0;
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
        cmocka_unit_test(test_nobody_encrypts),
        cmocka_unit_test(test_openssl_encrypts),
        cmocka_unit_test(test_the_kernel_encrypts),
    };
    return cmocka_run_group_tests_name("tls, facts", tests, set_up, tear_down);
}
