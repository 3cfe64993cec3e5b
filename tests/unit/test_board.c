/* serve/board: counts of several processes in shared memory, sums that never go back, limits across workers.
 */
#include "serve/board.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct board board;

static int make_board(void **state)
{
    (void)state;
    return board_init(&board) ? 0 : -1;
}

static int end_board(void **state)
{
    (void)state;
    board_fini(&board);
    return 0;
}

static unsigned take(void)
{
    int slot = board_take_slot(&board);
    assert_true(slot >= 0);
    return (unsigned)slot;
}

static struct ip_addr address(const char *text)
{
    struct ip_addr addr;
    assert_true(ip_parse(slice_from(text), &addr));
    return addr;
}

static void a_row_is_of_its_name(void **state)
{
    (void)state;
    assert_int_equal(0, board_row(&board, "desk"));
    assert_int_equal(1, board_row(&board, "ssh"));
    assert_int_equal(0, board_row(&board, "desk"));
    assert_string_equal("ssh", board.head->names[1]);
    char name[100];
    for (unsigned i = 2; i < TALLY_ROWS + 10; i++) {
        (void)snprintf(name, sizeof name, "route-%u", i);
        unsigned want = i < TALLY_ROWS - 1 ? i : TALLY_ROWS - 1;
        assert_int_equal(want, board_row(&board, name));
    }
    assert_int_equal(TALLY_ROWS, board.head->rows_used);
    assert_string_equal("(others)", board.head->names[TALLY_ROWS - 1]);
    assert_int_equal(1, board_row(&board, "ssh"));
}

static void a_long_name_is_cut_and_found_again(void **state)
{
    (void)state;
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    unsigned row = board_row(&board, name);
    assert_int_equal(BOARD_NAME_MAX - 1, strlen(board.head->names[row]));
    assert_int_equal(row, board_row(&board, name));
}

static void slots_are_given_out_lowest_first_and_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        assert_int_equal(i, take());
    }
    assert_int_equal(-1, board_take_slot(&board));
    board_fold_slot(&board, 7);
    assert_int_equal(7, take());
    assert_int_equal(BOARD_SLOTS, board.head->slots_used);
}

static void a_fold_keeps_counts_and_drops_gauges(void **state)
{
    (void)state;
    unsigned slot = take();
    unsigned row = board_row(&board, "r");
    struct tally *own = &board.tallies[slot];
    tally_add(&own->accepted, 5);
    tally_add(&own->sessions, 3);
    tally_add(&own->refused[2], 4);
    tally_add(&own->rows[row].sessions, 3);
    tally_add(&own->rows[row].up_bytes, 1000);
    tally_add(&own->rows[row].ended[CAUSE_IDLE], 2);
    tally_add(&own->rows[row].connect.buckets[1], 9);

    struct tally_row sum;
    struct board_totals totals;
    board_sum_row(&board, row, &sum);
    board_sum(&board, &totals);
    assert_int_equal(3, sum.sessions);
    assert_int_equal(1000, sum.up_bytes);
    assert_int_equal(3, totals.sessions);

    board_fold_slot(&board, slot);
    board_sum_row(&board, row, &sum);
    board_sum(&board, &totals);
    assert_int_equal(0, sum.sessions);
    assert_int_equal(1000, sum.up_bytes);
    assert_int_equal(2, sum.ended[CAUSE_IDLE]);
    assert_int_equal(9, sum.connect.buckets[1]);
    assert_int_equal(0, totals.sessions);
    assert_int_equal(5, totals.accepted);
    assert_int_equal(4, totals.refused[2]);

    assert_int_equal(slot, take());
    assert_int_equal(0, tally_read(&own->accepted));
    assert_int_equal(0, tally_read(&own->rows[row].up_bytes));
}

/* What a worker that was taken over writes into the shared head leads nobody out of the board. */
static void a_head_that_was_written_over_is_no_way_out(void **state)
{
    (void)state;
    struct census census;
    struct tally_row sum;
    struct board_totals totals;
    struct ip_addr addr = address("10.0.0.1");
    uint64_t sessions, lingering;
    unsigned slot = take();
    unsigned row = board_row(&board, "r");
    board_census(&board, slot, &census);
    tally_add(&census.own->accepted, 7);
    board.head->slots_used = UINT32_MAX;
    board.head->rows_used = UINT32_MAX;
    memset(board.head->names, 'n', sizeof board.head->names);
    census.all(&census, &sessions, &lingering);
    assert_true(census.client_enter(&census, &addr, 1));
    assert_int_equal(TALLY_ROWS - 1, board_row(&board, "new"));
    board_sum_row(&board, row, &sum);
    board_fold_slot(&board, slot);
    board_sum(&board, &totals);
    assert_int_equal(7, totals.accepted);
}

/* Memory follows the slots in use, not those that there were. */
static void folding_gives_pages_back(void **state)
{
    (void)state;
    struct stat facts;
    struct census census;
    struct ip_addr addr = address("10.0.0.0");
    blkcnt_t most = 0;
    for (int i = 0; i < 50; i++) {
        unsigned slot = take();
        board_census(&board, slot, &census);
        for (unsigned client = 0; client < 2000; client++) {
            addr.bytes[14] = (uint8_t)(client >> 8);
            addr.bytes[15] = (uint8_t)client;
            assert_true(census.client_enter(&census, &addr, 10));
        }
        board_fold_slot(&board, slot);
        assert_int_equal(0, fstat(board.fd, &facts));
        if (i == 0) {
            most = facts.st_blocks;
        }
        assert_true(facts.st_blocks <= most);
    }
}

static void limits_see_all_slots(void **state)
{
    (void)state;
    struct census a, b;
    uint64_t sessions, lingering;
    unsigned row = board_row(&board, "r");
    board_census(&board, take(), &a);
    board_census(&board, take(), &b);
    tally_add(&a.own->sessions, 2);
    tally_add(&b.own->sessions, 5);
    tally_add(&b.own->lingering, 1);
    tally_add(&a.own->rows[row].sessions, 2);
    tally_add(&b.own->rows[row].lingering, 1);
    a.all(&a, &sessions, &lingering);
    assert_int_equal(7, sessions);
    assert_int_equal(1, lingering);
    b.row(&b, row, &sessions, &lingering);
    assert_int_equal(2, sessions);
    assert_int_equal(1, lingering);
    board_fold_slot(&board, 1); /* it died: its share is free */
    a.all(&a, &sessions, &lingering);
    assert_int_equal(2, sessions);
}

static void one_clients_sessions_are_counted_across_workers(void **state)
{
    (void)state;
    struct census a, b;
    board_census(&board, take(), &a);
    board_census(&board, take(), &b);
    struct ip_addr one = address("192.0.2.1"), other = address("192.0.2.2");
    assert_true(a.client_enter(&a, &one, 2));
    assert_true(b.client_enter(&b, &one, 2));
    assert_false(a.client_enter(&a, &one, 2));
    assert_false(b.client_enter(&b, &one, 2));
    assert_true(a.client_enter(&a, &other, 2));
    b.client_leave(&b, &one);
    assert_true(a.client_enter(&a, &one, 2));
    assert_false(b.client_enter(&b, &one, 2));
    board_fold_slot(&board, 0);
    assert_true(b.client_enter(&b, &one, 2));
}

static void a_v6_client_is_its_64(void **state)
{
    (void)state;
    struct census a;
    board_census(&board, take(), &a);
    struct ip_addr one = address("2001:db8:1:2::1"), same = address("2001:db8:1:2:ffff::9"),
                   other = address("2001:db8:1:3::1");
    assert_true(a.client_enter(&a, &one, 1));
    assert_false(a.client_enter(&a, &same, 1));
    assert_true(a.client_enter(&a, &other, 1));
    struct ip_addr v4 = address("192.0.2.1"), v4_next = address("192.0.2.3");
    assert_true(a.client_enter(&a, &v4, 1));
    assert_true(a.client_enter(&a, &v4_next, 1));
}

/* Clients that come and go for years do not fill the table; too many at once are refused, not miscounted. */
static void the_table_of_clients_does_not_wear_out(void **state)
{
    (void)state;
    struct census a;
    board_census(&board, take(), &a);
    struct ip_addr addr = address("10.0.0.0");
    for (uint32_t i = 0; i < 5 * BOARD_SLOT_CLIENTS; i++) {
        memcpy(addr.bytes + 12, &i, sizeof i);
        assert_true(a.client_enter(&a, &addr, 1));
        a.client_leave(&a, &addr);
    }
    uint32_t entered = 0;
    for (uint32_t i = 0; i < 2 * BOARD_SLOT_CLIENTS; i++) {
        memcpy(addr.bytes + 12, &i, sizeof i);
        entered += a.client_enter(&a, &addr, 1);
    }
    assert_true(entered > BOARD_SLOT_CLIENTS / 2 && entered <= BOARD_SLOT_CLIENTS);
}

static void new_sessions_have_a_rate(void **state)
{
    (void)state;
    struct census a, b;
    board_census(&board, take(), &a);
    board_census(&board, take(), &b);
    struct ip_addr one = address("192.0.2.1"), other = address("192.0.2.2");
    const struct rate_rule rate = {.count = 5, .per_ms = 1000};
    const struct rate_rule off = {0};
    uint64_t now_ms = 5000000;
    for (int i = 0; i < 5; i++) {
        struct census *which = i % 2 == 0 ? &a : &b;
        assert_true(which->client_new(which, &one, rate, now_ms));
    }
    assert_false(a.client_new(&a, &one, rate, now_ms));
    assert_false(b.client_new(&b, &one, rate, now_ms + 199));
    assert_true(a.client_new(&a, &one, off, now_ms));
    assert_true(a.client_new(&a, &other, rate, now_ms));
    assert_true(b.client_new(&b, &one, rate, now_ms + 200));
    assert_false(b.client_new(&b, &one, rate, now_ms + 200));
    assert_true(a.client_new(&a, &one, rate, now_ms + 400));
    const struct rate_rule hourly = {.count = 1, .per_ms = 3600 * 1000};
    struct ip_addr third = address("192.0.2.3");
    assert_true(a.client_new(&a, &third, hourly, now_ms));
    assert_false(a.client_new(&a, &third, hourly, now_ms + 3599 * 1000));
    assert_true(a.client_new(&a, &third, hourly, now_ms + 3600 * 1000));
}

/* A crowd of addresses makes nobody pay for others. */
static void a_crowd_does_not_spend_what_a_new_client_has(void **state)
{
    (void)state;
    struct census a;
    board_census(&board, take(), &a);
    const struct rate_rule rate = {.count = 1, .per_ms = 3600 * 1000};
    struct ip_addr addr = address("2001:db8::");
    unsigned refused = 0;
    for (uint32_t i = 0; i < 4 * BOARD_BUCKETS; i++) {
        memcpy(addr.bytes + 4, &i, sizeof i);
        refused += !a.client_new(&a, &addr, rate, 1000);
    }
    assert_true(refused < 16); /* two of one tag in one place: about one in a million pairs */
}

/* ---- With processes. */

static pid_t start_counting(unsigned slot, unsigned row)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct tally *own = &board.tallies[slot];
        for (;;) {
            tally_add(&own->accepted, 1);
            tally_add(&own->rows[row].up_bytes, 3);
        }
    }
    atomic_store(&board.head->slots[slot].pid, pid);
    return pid;
}

static void until_counted(unsigned slot)
{
    uint64_t from = tally_read(&board.tallies[slot].accepted);
    while (tally_read(&board.tallies[slot].accepted) < from + 1000) {
    }
}

static void sums_never_go_back_when_workers_die(void **state)
{
    (void)state;
    unsigned row = board_row(&board, "r");
    int ends[2];
    assert_int_equal(0, pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    /* The reader sums without rest, in a process of its own. */
    pid_t reader = fork();
    assert_true(reader >= 0);
    if (reader == 0) {
        close(ends[1]);
        uint64_t last = 0, last_bytes = 0;
        char byte;
        alarm(60);
        do {
            struct board_totals totals;
            struct tally_row sum;
            for (int i = 0; i < 100; i++) {
                board_sum(&board, &totals);
                board_sum_row(&board, row, &sum);
                if (totals.accepted < last || tally_read(&sum.up_bytes) < last_bytes) {
                    _exit(1);
                }
                last = totals.accepted;
                last_bytes = tally_read(&sum.up_bytes);
            }
        } while (read(ends[0], &byte, 1) < 0); /* nothing yet; an end, once all are counted */
        _exit(0);
    }
    close(ends[0]);
    for (int i = 0; i < 50; i++) {
        unsigned one = take(), two = take();
        pid_t pids[2] = {start_counting(one, row), start_counting(two, row)};
        until_counted(one);
        until_counted(two);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(0, kill(pids[k], SIGKILL));
            assert_int_equal(pids[k], waitpid(pids[k], NULL, 0));
            board_fold_slot(&board, k == 0 ? one : two);
        }
    }
    close(ends[1]);
    int status;
    assert_int_equal(reader, waitpid(reader, &status, 0));
    assert_true(WIFEXITED(status));
    assert_int_equal(0, WEXITSTATUS(status));
}

/* Two that come at once may both be refused, never both admitted over the limit. */
static void a_limit_holds_between_processes(void **state)
{
    (void)state;
    enum { WORKERS = 3, TRIES = 20000, MOST = 2 };
    struct ip_addr one = address("192.0.2.1");
    pid_t pids[WORKERS];
    _Atomic uint64_t *inside = &board.past->log_lost; /* shared, and of no other use here */
    for (int i = 0; i < WORKERS; i++) {
        struct census census;
        board_census(&board, take(), &census);
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            for (int n = 0; n < TRIES; n++) {
                if (census.client_enter(&census, &one, MOST)) {
                    if (atomic_fetch_add(inside, 1) + 1 > MOST) {
                        _exit(1);
                    }
                    atomic_fetch_sub(inside, 1);
                    census.client_leave(&census, &one);
                }
            }
            _exit(0);
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(pids[i], waitpid(pids[i], &status, 0));
        assert_true(WIFEXITED(status));
        assert_int_equal(0, WEXITSTATUS(status));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_board, end_board)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_is_of_its_name),
        TEST(a_long_name_is_cut_and_found_again),
        TEST(slots_are_given_out_lowest_first_and_end),
        TEST(a_fold_keeps_counts_and_drops_gauges),
        TEST(a_head_that_was_written_over_is_no_way_out),
        TEST(folding_gives_pages_back),
        TEST(limits_see_all_slots),
        TEST(one_clients_sessions_are_counted_across_workers),
        TEST(a_v6_client_is_its_64),
        TEST(the_table_of_clients_does_not_wear_out),
        TEST(new_sessions_have_a_rate),
        TEST(a_crowd_does_not_spend_what_a_new_client_has),
        TEST(sums_never_go_back_when_workers_die),
        TEST(a_limit_holds_between_processes),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
