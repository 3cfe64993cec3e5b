#include "made_dial.h"
#include "base/clock.h"
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct loop *loop;
struct wheel wheel;
struct dial_host host;
struct tls_server *tls_server;
char why[TLS_WHY_MAX];
const char *prelude;
size_t prelude_bytes;
const struct egress *egress;

static void note_outcome(
    void *context, enum dial_status status, struct transport *transport, const char *detail)
{
    struct outcome *outcome = context;
    outcome->count++;
    outcome->status = status;
    outcome->transport = transport;
    (void)snprintf(outcome->detail, sizeof outcome->detail, "%s", detail);
}

void turn(int cap_ms)
{
    loop_turn(loop, wheel_timeout_ms(&wheel, clock_now_ms(), cap_ms));
    wheel_run(&wheel, clock_now_ms());
}

void turn_until_told(const struct outcome *outcome)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (outcome->count == 0) {
        assert_true(clock_now_ms() < until_ms);
        turn(1000);
    }
    assert_int_equal(1, outcome->count);
    assert_int_equal(outcome->status == DIAL_OK, outcome->transport != NULL);
}

struct dial *start(const char *target, struct tls_client *tls, uint64_t timeout_ms, struct outcome *outcome)
{
    const char *wrong;
    struct endpoint endpoint;
    *outcome = (struct outcome){0};
    assert_true(endpoint_parse(slice_from(target), &endpoint, &wrong));
    struct dial_order order = {.target = &endpoint,
        .tls = tls,
        .prelude = prelude,
        .prelude_bytes = prelude_bytes,
        .egress = egress,
        .timeout_ms = timeout_ms};
    struct dial *dial = dial_start(&host, &order, clock_now_ms(), note_outcome, outcome);
    assert_non_null(dial);
    assert_int_equal(0, outcome->count);
    return dial;
}

struct outcome dial_target(const char *target, struct tls_client *tls, uint64_t timeout_ms)
{
    struct outcome outcome;
    (void)start(target, tls, timeout_ms, &outcome);
    turn_until_told(&outcome);
    return outcome;
}

void expect_fault(const struct outcome *outcome, enum dial_status status, const char *detail)
{
    assert_string_equal(detail, outcome->detail);
    assert_int_equal(status, outcome->status);
}

int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

void expect_descriptors(int wanted)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (open_descriptors() != wanted) {
        assert_true(clock_now_ms() < until_ms);
        (void)poll(NULL, 0, 1);
    }
}

void end_connection(struct outcome *outcome)
{
    assert_non_null(outcome->transport);
    outcome->transport->ops->close(outcome->transport, false);
}

struct tls_client *client_for(const char *name)
{
    struct tls_client_options options = {
        .ca_file = made_certs_path("ca.crt"), .server_name = name, .verify = true};
    struct tls_client *client = tls_client_new(&options, why);
    assert_non_null(client);
    return client;
}

int dial_set_up(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "ca"});
    made_certs_make(&(struct made_cert){.name = "localhost", .issuer = "ca", .san = "DNS:localhost"});
    tls_server = tls_server_new(false);
    return tls_server != NULL && tls_server_add_certificate(tls_server, made_certs_path("localhost.crt"),
                                     made_certs_path("localhost.key"), why, NULL)
               ? 0
               : -1;
}

int dial_tear_down(void **state)
{
    (void)state;
    tls_server_free(tls_server);
    made_certs_end();
    return 0;
}

static int descriptors_before;

static int set_up_loop(enum loop_kind kind)
{
    descriptors_before = open_descriptors();
    loop = loop_new(kind);
    wheel_init(&wheel, clock_now_ms());
    host = (struct dial_host){loop, &wheel, loop != NULL ? resolver_new(loop, 2) : NULL};
    return host.resolver != NULL ? 0 : -1;
}

int with_poll(void **state)
{
    (void)state;
    return set_up_loop(LOOP_POLL);
}

int with_epoll(void **state)
{
    (void)state;
    return set_up_loop(LOOP_EPOLL);
}

int without_loop(void **state)
{
    (void)state;
    resolver_free(host.resolver);
    loop_free(loop);
    expect_descriptors(descriptors_before); /* so that the next test counts its own alone */
    return 0;
}
