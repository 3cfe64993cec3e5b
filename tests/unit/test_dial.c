#include "base/clock.h"
#include "made_dial.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- Connecting. */

static void a_listening_target_is_connected(void **state)
{
    (void)state;
    struct made_target target = made_target_listening(8);
    char by_name[32];
    (void)snprintf(by_name, sizeof by_name, "localhost:%u", (unsigned)target.port);
    const char *texts[] = {target.text, by_name};
    for (size_t i = 0; i < 2; i++) {
        struct outcome outcome = dial_target(texts[i], NULL, 10000);
        assert_string_equal("", outcome.detail);
        assert_int_equal(DIAL_OK, outcome.status);
        int on = 0;
        socklen_t len = sizeof on;
        assert_int_equal(0, getsockopt(outcome.transport->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len));
        assert_int_not_equal(0, on);
        assert_true((fcntl(outcome.transport->fd, F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(outcome.transport->fd, F_GETFD) & FD_CLOEXEC) != 0);
        int peer = made_target_accept(&target);
        assert_int_equal(1, outcome.transport->ops->write(outcome.transport, "x", 1).n);
        char byte = 0;
        assert_int_equal(1, recv(peer, &byte, 1, 0));
        close(peer);
        end_connection(&outcome);
    }
    made_target_end(&target);
}

static void a_unix_target_is_connected(void **state)
{
    (void)state;
    struct made_target target = made_target_listening_unix("target.sock", 8);
    struct outcome outcome = dial_target(target.text, NULL, 10000);
    assert_int_equal(DIAL_OK, outcome.status);
    close(made_target_accept(&target));
    end_connection(&outcome);
    made_target_end(&target);
}

static void a_target_that_refuses(void **state)
{
    (void)state;
    char detail[DIAL_DETAIL_MAX];
    struct made_target target = made_target_listening(-1);
    struct outcome outcome = dial_target(target.text, NULL, 10000);
    (void)snprintf(detail, sizeof detail, "%s: Connection refused", target.text);
    expect_fault(&outcome, DIAL_REFUSED, detail);
    made_target_end(&target);

    target = made_target_listening_unix("left.sock", 8);
    close(target.fd);
    outcome = dial_target(target.text, NULL, 10000);
    (void)snprintf(detail, sizeof detail, "%s: Connection refused", target.text);
    expect_fault(&outcome, DIAL_REFUSED, detail);
}

static void a_target_that_is_not_there(void **state)
{
    (void)state;
    struct outcome outcome = dial_target("unix:/nowhere/target.sock", NULL, 10000);
    expect_fault(&outcome, DIAL_UNREACHABLE, "unix:/nowhere/target.sock: No such file or directory");
}

static void a_name_that_is_not_there(void **state)
{
    (void)state;
    struct outcome outcome = dial_target("nosuch.invalid:5900", NULL, 10000);
    assert_int_equal(DIAL_DNS, outcome.status);
    assert_ptr_equal(outcome.detail, strstr(outcome.detail, "nosuch.invalid:5900: "));
}

static void a_silent_target_takes_the_time_it_has(void **state)
{
    (void)state;
    char detail[DIAL_DETAIL_MAX];
    struct made_target target = made_target_crowded();
    uint64_t before_ms = clock_now_ms();
    struct outcome outcome = dial_target(target.text, NULL, 100);
    assert_in_range(clock_now_ms() - before_ms, 100, 5000);
    (void)snprintf(
        detail, sizeof detail, "%s: no answer; %s: connecting took over 100 ms", target.text, target.text);
    expect_fault(&outcome, DIAL_TIMEOUT, detail);
    made_target_end(&target);
}

static void a_full_unix_backlog_is_tried_again(void **state)
{
    (void)state;
    char detail[DIAL_DETAIL_MAX];
    struct made_target target = made_target_crowded_unix();
    struct outcome outcome = dial_target(target.text, NULL, 100);
    (void)snprintf(detail, sizeof detail, "%s: connecting took over 100 ms", target.text);
    expect_fault(&outcome, DIAL_TIMEOUT, detail);

    (void)start(target.text, NULL, 10000, &outcome);
    turn(0);
    assert_int_equal(0, outcome.count);
    close(made_target_accept(&target)); /* room for one */
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    end_connection(&outcome);
    made_target_end(&target);
}

static void no_descriptor_is_our_own_fault(void **state)
{
    (void)state;
    struct made_target target = made_target_listening(8);
    struct rlimit before, none;
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &before));
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
    struct outcome outcome;
    (void)start(target.text, NULL, 10000, &outcome);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &before));
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OVERLOAD, outcome.status);
    assert_non_null(strstr(outcome.detail, "Too many open files"));
    made_target_end(&target);
}

/* ---- Several addresses: a look-up's answer, put in by hand. */

static struct dial *start_with(
    const struct made_target *const *targets, size_t count, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    struct addrinfo list[4] = {0};
    struct sockaddr_in addresses[4];
    for (size_t i = 0; i < count; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(targets[i]->port)};
        addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        list[i].ai_family = AF_INET;
        list[i].ai_addr = (struct sockaddr *)&addresses[i];
        list[i].ai_addrlen = sizeof addresses[i];
        list[i].ai_next = i + 1 < count ? &list[i + 1] : NULL;
    }
    /* A numeric dial of an address that is not taken up: its attempts are set aside for ours. */
    struct made_target silent = made_target_crowded();
    struct dial *dial = start(silent.text, NULL, 700, outcome);
    dial_connect_stop(dial);
    made_target_end(&silent);
    dial->address_count = dial->tried = 0;
    dial_connect_take(dial, list);
    dial_connect_next(dial, clock_now_ms());
    return dial;
}

static void the_next_address_is_tried_at_once_when_one_fails(void **state)
{
    (void)state;
    struct made_target refusing = made_target_listening(-1), good = made_target_listening(8);
    const struct made_target *targets[] = {&refusing, &refusing, &good};
    struct outcome outcome;
    uint64_t before_ms = clock_now_ms();
    (void)start_with(targets, 3, &outcome);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    assert_in_range(clock_now_ms() - before_ms, 0, 240);
    assert_string_equal("", outcome.detail);
    end_connection(&outcome);
    made_target_end(&refusing);
    made_target_end(&good);
}

static void the_next_address_is_tried_after_a_while_when_one_is_silent(void **state)
{
    (void)state;
    struct made_target silent = made_target_crowded(), good = made_target_listening(8);
    const struct made_target *targets[] = {&silent, &good};
    struct outcome outcome;
    int before = open_descriptors();
    uint64_t before_ms = clock_now_ms();
    (void)start_with(targets, 2, &outcome);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    assert_in_range(clock_now_ms() - before_ms, 250, 690);
    end_connection(&outcome);
    expect_descriptors(before); /* the loser is closed too */
    made_target_end(&silent);
    made_target_end(&good);
}

static void a_refusal_says_more_than_silence(void **state)
{
    (void)state;
    struct made_target silent = made_target_crowded(), refusing = made_target_listening(-1);
    const struct made_target *targets[] = {&silent, &refusing};
    struct outcome outcome;
    (void)start_with(targets, 2, &outcome);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_REFUSED, outcome.status);
    assert_non_null(strstr(outcome.detail, "Connection refused; "));
    assert_non_null(strstr(outcome.detail, "connecting took over 700 ms"));
    made_target_end(&silent);
    made_target_end(&refusing);
}

static void families_take_turns(void **state)
{
    (void)state;
    static const int families[] = {AF_INET6, AF_INET6, AF_INET6, AF_INET, AF_UNIX, AF_INET};
    static const uint16_t order[] = {0, 3, 1, 5, 2};
    struct sockaddr_in6 addresses[6] = {0};
    struct addrinfo list[6] = {0};
    for (uint16_t i = 0; i < 6; i++) {
        addresses[i].sin6_family = (sa_family_t)families[i];
        addresses[i].sin6_port = i;
        list[i].ai_family = families[i];
        list[i].ai_addr = (struct sockaddr *)&addresses[i];
        list[i].ai_addrlen = sizeof addresses[i];
        list[i].ai_next = i < 5 ? &list[i + 1] : NULL;
    }
    struct dial *dial = calloc(1, sizeof *dial);
    assert_non_null(dial);
    dial_connect_take(dial, list);
    assert_int_equal(5, dial->address_count);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(order[i], dial->addresses[i].of.in6.sin6_port);
    }
    /* More than are tried are left out. */
    list[5].ai_next = NULL;
    for (int i = 0; i < 5; i++) {
        dial_connect_take(dial, list);
    }
    assert_int_equal(DIAL_ADDRESSES_MAX, dial->address_count);
    free(dial);
}

/* ---- Cancelling. */

static void cancel_and_turn(struct dial *dial, enum dial_phase phase, const struct outcome *outcome)
{
    assert_int_equal(phase, dial->phase);
    dial_cancel(dial);
    for (int i = 0; i < 3; i++) {
        turn(10);
    }
    assert_int_equal(0, outcome->count);
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        assert_true(list_empty(&wheel.slots[i])); /* no timer is left */
    }
}

/* ---- Addresses that the policy denies. */

static void an_address_that_is_denied_is_not_connected_to(void **state)
{
    (void)state;
    struct ip_net local[2];
    assert_true(ip_net_parse(SLICE("127.0.0.0/8"), &local[0], NULL));
    assert_true(ip_net_parse(SLICE("::1"), &local[1], NULL));
    struct egress policy = {.deny = local, .deny_count = 2};
    struct made_target target = made_target_listening(8);
    char wanted[256], name[64];
    (void)snprintf(wanted, sizeof wanted, "%s: denied by egress (in its deny)", target.text);
    (void)snprintf(name, sizeof name, "localhost:%u", (unsigned)target.port);
    egress = &policy;
    struct outcome outcome = dial_target(target.text, NULL, 10000);
    expect_fault(&outcome, DIAL_UNREACHABLE, wanted);
    outcome = dial_target(name, NULL, 10000);
    assert_int_equal(DIAL_UNREACHABLE, outcome.status);
    assert_non_null(strstr(outcome.detail, wanted));
    egress = NULL;
    struct pollfd knock = {.fd = target.fd, .events = POLLIN};
    assert_int_equal(0, poll(&knock, 1, 0));
    made_target_end(&target);

    outcome = dial_target("169.254.169.254:80", NULL, 10000);
    expect_fault(
        &outcome, DIAL_UNREACHABLE, "169.254.169.254:80: denied by egress (a cloud's metadata service)");
    outcome = dial_target("[::ffff:169.254.1.1]:80", NULL, 10000);
    expect_fault(&outcome, DIAL_UNREACHABLE, "169.254.1.1:80: denied by egress (a link-local address)");
    outcome = dial_target("0.0.0.0:80", NULL, 10000);
    expect_fault(&outcome, DIAL_UNREACHABLE, "0.0.0.0:80: denied by egress (no address of a host)");
}

static void the_other_addresses_are_tried_where_one_is_denied(void **state)
{
    (void)state;
    struct made_target good = made_target_listening(8);
    struct sockaddr_in addresses[2];
    struct addrinfo list[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(good.port)};
        addresses[i].sin_addr.s_addr = htonl(i == 0 ? 0xA9FEA9FE : INADDR_LOOPBACK);
        list[i].ai_family = AF_INET;
        list[i].ai_addr = (struct sockaddr *)&addresses[i];
        list[i].ai_addrlen = sizeof addresses[i];
    }
    list[0].ai_next = &list[1];
    struct made_target silent = made_target_crowded();
    struct outcome outcome;
    struct dial *dial = start(silent.text, NULL, 20000, &outcome);
    dial_connect_stop(dial);
    made_target_end(&silent);
    dial->address_count = dial->tried = 0;
    dial_connect_take(dial, list);
    dial_connect_next(dial, clock_now_ms());
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    end_connection(&outcome);
    made_target_end(&good);
}

static void a_cancelled_dial_leaves_nothing(void **state)
{
    (void)state;
    struct outcome outcome;
    struct made_target silent = made_target_crowded(), quiet = made_target_listening(8),
                       full = made_target_crowded_unix();
    struct tls_client *client = client_for("localhost");
    int before = open_descriptors();

    cancel_and_turn(start("nosuch.invalid:1", NULL, 60000, &outcome), DIAL_LOOKING_UP, &outcome);
    cancel_and_turn(start("localhost:1", NULL, 60000, &outcome), DIAL_LOOKING_UP, &outcome);
    cancel_and_turn(start(silent.text, NULL, 60000, &outcome), DIAL_CONNECTING, &outcome);
    cancel_and_turn(start(full.text, NULL, 60000, &outcome), DIAL_CONNECTING, &outcome);
    cancel_and_turn(start("unix:/nowhere", NULL, 60000, &outcome), DIAL_SETTLED, &outcome);

    struct dial *dial = start(quiet.text, client, 60000, &outcome);
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (dial->phase != DIAL_SHAKING_HANDS) {
        assert_true(clock_now_ms() < until_ms);
        turn(1000);
    }
    cancel_and_turn(dial, DIAL_SHAKING_HANDS, &outcome);

    const struct made_target *two[] = {&silent, &silent};
    cancel_and_turn(start_with(two, 2, &outcome), DIAL_CONNECTING, &outcome);
    expect_descriptors(before);
    tls_client_free(client);
    made_target_end(&silent);
    made_target_end(&quiet);
    made_target_end(&full);
}

/* ---- */

int main(void)
{
    /* Where no name server can be reached, a look-up is to fail soon. */
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_listening_target_is_connected),
        ON_BOTH(a_unix_target_is_connected),
        ON_BOTH(a_target_that_refuses),
        ON_BOTH(a_target_that_is_not_there),
        ON_BOTH(a_name_that_is_not_there),
        ON_BOTH(a_silent_target_takes_the_time_it_has),
        ON_BOTH(a_full_unix_backlog_is_tried_again),
        ON_BOTH(no_descriptor_is_our_own_fault),
        ON_BOTH(the_next_address_is_tried_at_once_when_one_fails),
        ON_BOTH(the_next_address_is_tried_after_a_while_when_one_is_silent),
        ON_BOTH(a_refusal_says_more_than_silence),
        ON_BOTH(families_take_turns),
        ON_BOTH(an_address_that_is_denied_is_not_connected_to),
        ON_BOTH(the_other_addresses_are_tried_where_one_is_denied),
        ON_BOTH(a_cancelled_dial_leaves_nothing),
    };
    return cmocka_run_group_tests_name("dial", tests, dial_set_up, dial_tear_down);
}
