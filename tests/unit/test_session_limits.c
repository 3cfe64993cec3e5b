/* The limits on sessions, by client and across workers, and what a session counts. */
#include "script.h"

static struct bench b;
static struct script_pair p[8];
static size_t pairs;

static void begin(const char *route)
{
    bench_init(&b, route, "");
    pairs = 0;
}

/* The client of the next pair asks, and gets that status. */
static struct script_pair *ask(unsigned status)
{
    struct script_pair *one = &p[pairs++];
    struct hearing h;
    pair_init(&b, one, &script_easy, &script_easy);
    say_upgrade(&one->client, "/", "");
    bench_accept(&b, one);
    bench_run(&b);
    hearing_of(&one->client, &h);
    assert_int_equal(status, h.status);
    hearing_fini(&h);
    return one;
}

static void hang_up(struct script_pair *one)
{
    say_close(&one->client, 1000, "");
    bench_run(&b);
    assert_null(bench_session(&b, one));
}

static void end(void)
{
    for (size_t i = 0; i < pairs; i++) {
        if (bench_session(&b, &p[i]) != NULL) {
            hang_up(&p[i]);
        }
        pair_fini(&p[i]);
    }
    bench_fini(&b);
}

static void assert_says(const struct script_side *client, const char *text)
{
    assert_non_null(memmem(buf_data(&client->heard), buf_len(&client->heard), text, strlen(text)));
}

static void come_from(const char *address)
{
    b.peer = (struct sock_peer){.port = 1};
    assert_true(ip_parse(slice_from(address), &b.peer.addr));
}

static void test_sessions_per_client(void **state)
{
    (void)state;
    begin("");
    b.rules->sessions_per_client_max = 2;
    come_from("2001:db8::1");
    struct script_pair *first = ask(101);
    come_from("2001:db8::2:1"); /* the same /64 */
    ask(101);
    struct script_pair *refused = ask(429);
    assert_says(&refused->client, "\r\nRetry-After: ");
    assert_says(&refused->client, "\r\n\r\nthis client has as many sessions as it may\n");
    come_from("2001:db8:0:1::1");
    ask(101);
    come_from("2001:db8::3");
    hang_up(first);
    ask(101);
    ask(429);
    end();
}

/* What is refused for another reason, or whose target is, gives its place back. */
static void test_client_gives_back(void **state)
{
    (void)state;
    begin("    on_unreachable: http\n");
    b.rules->sessions_per_client_max = 1;
    b.dial_status = DIAL_REFUSED;
    ask(502);
    b.dial_status = DIAL_OK;
    b.rules->sessions_max = 0;
    ask(503);
    b.rules->sessions_max = 1;
    ask(101);
    end();
}

static void test_unix_clients_are_not_limited(void **state)
{
    (void)state;
    begin("");
    b.rules->sessions_per_client_max = 1;
    b.rules->new_sessions_per_client = (struct rate_rule){1, 3600000};
    b.peer = (struct sock_peer){.is_unix = true};
    ask(101);
    ask(101);
    end();
}

static void test_new_sessions_per_client(void **state)
{
    (void)state;
    begin("");
    b.rules->new_sessions_per_client = (struct rate_rule){2, 1000};
    hang_up(ask(101));
    hang_up(ask(101));
    struct script_pair *refused = ask(429);
    assert_says(&refused->client, "\r\nRetry-After: ");
    assert_says(&refused->client, "this client begins sessions faster than it may\n");
    assert_int_equal(0, tally_read(&b.census->own->sessions));
    bench_pass(&b, 500);
    hang_up(ask(101));
    ask(429);
    end();
}

/* A full gateway takes nothing from the rate. */
static void test_full_gateway_and_rate(void **state)
{
    (void)state;
    begin("");
    b.rules->new_sessions_per_client = (struct rate_rule){1, 3600000};
    b.rules->sessions_max = 0;
    ask(503);
    ask(503);
    b.rules->sessions_max = 1;
    ask(101);
    end();
}

static uint64_t elsewhere;

static void all_with_others(const struct census *census, uint64_t *sessions, uint64_t *lingering)
{
    *sessions = tally_read(&census->own->sessions) + elsewhere;
    *lingering = 0;
}

static void row_with_others(
    const struct census *census, unsigned row, uint64_t *sessions, uint64_t *lingering)
{
    *sessions = tally_read(&census->own->rows[row].sessions) + elsewhere;
    *lingering = 0;
}

/* The sessions of other workers count, and one that is refused is not counted for them. */
static void test_other_workers(void **state)
{
    (void)state;
    begin("    limits: {sessions: 3}\n");
    b.census->all = all_with_others;
    b.census->row = row_with_others;
    elsewhere = 2;
    ask(101);
    assert_says(&ask(503)->client, "this route has as many sessions as it may");
    assert_int_equal(1, tally_read(&b.census->own->sessions));
    assert_int_equal(1, tally_read(&b.census->own->rows[0].sessions));
    b.rules->sessions_max = 3;
    assert_says(&ask(503)->client, "gateway has as many sessions as it may");
    elsewhere = 1;
    ask(101);
    elsewhere = 0;
    end();
}

static uint64_t observations(const struct tally_histogram *histogram)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= TALLY_BUCKETS; i++) {
        sum += tally_read(&histogram->buckets[i]);
    }
    return sum;
}

static void test_what_a_session_counts(void **state)
{
    (void)state;
    begin("");
    const struct tally *tally = b.census->own;
    const struct tally_row *row = &tally->rows[0];
    struct script_pair *one = ask(101);
    assert_int_equal(1, tally_read(&tally->connections));
    assert_int_equal(1, tally_read(&tally->sessions));
    assert_int_equal(1, tally_read(&row->sessions));
    assert_int_equal(1, observations(&row->connect));
    say_frame(&one->client, true, WS_BINARY, "four", 4);
    say_text(&one->target, "seven77");
    bench_run(&b);
    assert_int_equal(4, tally_read(&row->up_bytes));
    assert_int_equal(7, tally_read(&row->down_bytes));
    bench_pass(&b, 2000);
    hang_up(one);
    assert_int_equal(1, tally_read(&row->ended[CAUSE_CLIENT_CLOSE]));
    assert_int_equal(1, tally_read(&row->session.buckets[2]));
    assert_int_equal(2000 * 1000, tally_read(&row->session.sum_us));
    b.dial_status = DIAL_TIMEOUT;
    ask(101);
    assert_int_equal(1, tally_read(&row->target_failed));
    assert_int_equal(1, tally_read(&row->ended[CAUSE_TARGET_TIMEOUT]));
    assert_int_equal(1, observations(&row->connect));
    b.relay.refusing = true;
    ask(503);
    uint64_t refused = 0;
    for (unsigned i = 0; i < TALLY_STATUSES; i++) {
        refused += tally_status_at(i) == 503 ? tally_read(&tally->refused[i]) : 0;
    }
    assert_int_equal(1, refused);
    assert_int_equal(3, tally_read(&tally->accepted));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_per_client),
        cmocka_unit_test(test_client_gives_back),
        cmocka_unit_test(test_unix_clients_are_not_limited),
        cmocka_unit_test(test_new_sessions_per_client),
        cmocka_unit_test(test_full_gateway_and_rate),
        cmocka_unit_test(test_other_workers),
        cmocka_unit_test(test_what_a_session_counts),
    };
    return cmocka_run_group_tests_name("session_limits", tests, NULL, NULL);
}
