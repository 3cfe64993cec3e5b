/* What is in the rules where a file has faults: all that could be read, and nothing in place of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/sluice-partly-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

/* The rules of a file with `errors` faults, which rules_load_file does not answer. */
static struct rules *load_partly(const char *text, size_t errors)
{
    struct faults faults;
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);

    faults_init(&faults);
    struct rules *rules = rules_load_file(path, &faults);
    assert_int_equal(faults.error_count, errors);
    assert_int_equal(rules == NULL, errors > 0);
    rules_free(rules);
    faults_fini(&faults);

    faults_init(&faults);
    rules = rules_load_file_partly(path, &faults);
    assert_int_equal(faults.error_count, errors);
    faults_fini(&faults);
    return rules;
}

static void what_could_be_read_is_there(void **state)
{
    (void)state;
    struct rules *rules = load_partly("listen:\n"
                                      "  - address: nonsense\n"
                                      "    tls:\n"
                                      "      certificates:\n"
                                      "        - {cert: /a.crt, ky: /a.key}\n"
                                      "        - {crt: /b.crt, key: /b.key}\n"
                                      "        - 7\n"
                                      "      client_ca: /ca.crt\n"
                                      "routes:\n"
                                      "  - {target: \"tls://h:1\", target_tls: {cert: /c.crt}}\n"
                                      "  - {target: \"h:1\", origin: [same, nonsense], host: \"a*\"}\n"
                                      "  - {files: /www, path: nonsense}\n"
                                      "  - nonsense\n"
                                      "log: {level: loud, output: /x.log}\n",
        11);
    assert_non_null(rules);
    assert_int_equal(rules->listen_count, 1);
    assert_string_equal(rules->listens[0].address.host, "");
    const struct listen_tls_rule *tls = rules->listens[0].tls;
    assert_int_equal(tls->certificate_count, 3);
    assert_string_equal(tls->certificates[0].cert, "/a.crt");
    assert_int_equal(tls->certificates[0].cert_at.line, 5);
    assert_null(tls->certificates[0].key);
    assert_null(tls->certificates[1].cert);
    assert_string_equal(tls->certificates[1].key, "/b.key");
    assert_null(tls->certificates[2].cert);
    assert_null(tls->certificates[2].key);
    assert_string_equal(tls->client_ca, "/ca.crt");

    assert_int_equal(rules->route_count, 4);
    assert_string_equal(rules->routes[0].targets[0].text, "tls://h:1");
    assert_string_equal(rules->routes[0].target_tls->cert, "/c.crt");
    assert_null(rules->routes[0].target_tls->key);
    assert_null(rules->routes[1].targets);
    assert_string_equal(rules->routes[2].files, "/www");
    assert_int_equal(rules->routes[2].index, 2);
    assert_null(rules->routes[3].targets);
    assert_null(rules->routes[3].files);
    assert_string_equal(rules->log_file, "/x.log");
    assert_int_equal(rules->log_level, LOG_INFO);
    rules_free(rules);
}

static void what_a_service_needs_is_there_too(void **state)
{
    (void)state;
    struct rules *rules = load_partly("workers: 0\n"
                                      "user: 0\n"
                                      "listen:\n"
                                      "  - {address: 'fd:', trusted_proxies: [nonsense, 'unix:', 10.0.0.5]}\n"
                                      "  - {address: fd:a, proxy_protocol: maybe}\n"
                                      "routes:\n"
                                      "  - target: [nonsense, tcp://h:1, [], unix:/s]\n"
                                      "  - {target: [nonsense, ~], target_tls: {verify: false}}\n"
                                      "limits: {new_sessions_per_client: 0/s}\n"
                                      "log: {output: ~/x.log}\n"
                                      "admin: {address: nonsense, allow: 10.0.0.0/8}\n",
        12);
    assert_non_null(rules);
    assert_int_equal(rules->workers, 0);
    assert_null(rules->user);
    assert_null(rules->listens[0].fd_name);
    assert_int_equal(rules->listens[0].trusted_proxy_count, 2);
    assert_true(rules->listens[0].trusts_unix);
    assert_string_equal(rules->listens[1].fd_name, "a");
    assert_false(rules->listens[1].proxy_protocol);
    assert_int_equal(rules->routes[0].target_count, 4);
    assert_null(rules->routes[0].targets[0].text);
    assert_string_equal(rules->routes[0].targets[1].text, "tcp://h:1");
    assert_null(rules->routes[0].targets[2].text);
    assert_string_equal(rules->routes[0].targets[3].text, "unix:/s");
    assert_null(rules->routes[1].targets);
    assert_int_equal(rules->routes[1].target_count, 0);
    assert_int_equal(rules->new_sessions_per_client.count, 0);
    assert_int_equal(rules->log_output, LOG_OUTPUT_STDERR);
    assert_null(rules->log_file);
    assert_false(rules->admin.on);
    rules_free(rules);
}

static void nothing_is_there_of_what_is_no_yaml(void **state)
{
    (void)state;
    struct rules *rules = load_partly("listen: [\n", 1);
    assert_non_null(rules);
    assert_int_equal(rules->listen_count, 0);
    assert_int_equal(rules->route_count, 0);
    rules_free(rules);
}

static void a_file_without_faults_is_the_same(void **state)
{
    (void)state;
    struct rules *rules = load_partly("listen: {address: \":0\"}\nroutes: {target: \"tcp://h:1\"}\n", 0);
    assert_non_null(rules);
    assert_int_equal(rules->listen_count, 1);
    assert_int_equal(rules->sessions_max, 10000);
    assert_string_equal(rules->routes[0].targets[0].text, "tcp://h:1");
    rules_free(rules);
}

static void no_file_no_rules(void **state)
{
    (void)state;
    struct faults faults;
    faults_init(&faults);
    assert_null(rules_load_file_partly("/nonexistent/sluice.yaml", &faults));
    assert_int_equal(faults.error_count, 1);
    faults_fini(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_could_be_read_is_there),
        cmocka_unit_test(what_a_service_needs_is_there_too),
        cmocka_unit_test(nothing_is_there_of_what_is_no_yaml),
        cmocka_unit_test(a_file_without_faults_is_the_same),
        cmocka_unit_test(no_file_no_rules),
    };
    return cmocka_run_group_tests_name("load_partly", tests, set_up, tear_down);
}
