/* serve/metrics: the text of /metrics. */
#include "serve/metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

/* What metrics_write says now; the caller frees it. */
static char *page(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(metrics_write(&board, out));
    assert_int_equal(0, ferror(out));
    assert_int_equal(0, fclose(out));
    assert_int_equal(len, strlen(text));
    return text;
}

static void has(const char *text, const char *line)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL) {
        fail_msg("no line \"%s\" in:\n%s", line, text);
    }
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" in:\n%s", part, text);
    }
}

static struct tally *worker(unsigned index, unsigned generation)
{
    int slot = board_take_slot(&board);
    assert_true(slot >= 0);
    struct board_slot *facts = &board.head->slots[slot];
    atomic_store(&facts->pid, 100 + slot);
    atomic_store(&facts->generation, generation);
    atomic_store(&facts->index, index);
    return &board.tallies[slot];
}

static void an_idle_service(void **state)
{
    (void)state;
    char *text = page();
    has(text, "sluice_workers 0");
    has(text, "sluice_draining 0");
    has(text, "sluice_generations 0");
    has(text, "sluice_config_reloads_total{result=\"failed\"} 0");
    has(text, "sluice_requests_refused_total{status=\"404\"} 0");
    has(text, "# TYPE sluice_sessions gauge");
    has_not(text, "route=");
    free(text);
}

static void sums_over_workers(void **state)
{
    (void)state;
    unsigned desk = board_row(&board, "desk"), ssh = board_row(&board, "ssh");
    struct tally *a = worker(0, 1), *b = worker(1, 1), *c = worker(0, 2);
    tally_add(&a->rows[desk].sessions, 3);
    tally_add(&b->rows[desk].sessions, 4);
    tally_add(&c->rows[ssh].sessions, 5);
    tally_add(&a->rows[desk].ended[CAUSE_TARGET_EOF], 10);
    tally_add(&b->rows[desk].ended[CAUSE_TARGET_EOF], 1);
    tally_add(&b->rows[desk].up_bytes, UINT64_C(5000000000));
    tally_add(&b->rows[desk].down_bytes, 7);
    tally_add(&b->rows[desk].up_stalled_ms, 1234);
    tally_add(&b->rows[desk].down_stalled_ms, 5);
    tally_add(&c->rows[ssh].target_failed, 2);
    tally_add(&a->connections, 8);
    tally_add(&c->accepted, 9);
    tally_add(&a->proxy_refused, 2);
    tally_add(&b->tls_failed, 3);
    tally_add(&c->log_lost, 4);
    tally_refused(a, 404);
    tally_refused(b, 404);
    tally_refused(b, 429);
    atomic_store(&board.head->workers, 1);
    atomic_store(&board.head->draining, true);
    atomic_store(&board.head->reloads_ok, 6);
    atomic_store(&board.head->reloads_failed, 7);
    atomic_store(&board.head->worker_deaths, 8);
    atomic_store(&board.head->started_s, 1000);
    char *text = page();
    has(text, "sluice_sessions{route=\"desk\"} 7");
    has(text, "sluice_sessions{route=\"ssh\"} 5");
    has(text, "sluice_sessions_total{route=\"desk\",cause=\"target_eof\"} 11");
    has(text, "sluice_sessions_total{route=\"ssh\",cause=\"internal\"} 0");
    has(text, "sluice_bytes_total{route=\"desk\",direction=\"up\"} 5000000000");
    has(text, "sluice_bytes_total{route=\"desk\",direction=\"down\"} 7");
    has(text, "sluice_stall_seconds_total{route=\"desk\",direction=\"up\"} 1.234");
    has(text, "sluice_stall_seconds_total{route=\"desk\",direction=\"down\"} 0.005");
    has(text, "sluice_target_failures_total{route=\"ssh\"} 2");
    has(text, "sluice_connections 8");
    has(text, "sluice_connections_total 9");
    has(text, "sluice_proxy_refused_total 2");
    has(text, "sluice_tls_failed_total 3");
    has(text, "sluice_log_lost_total 4");
    has(text, "sluice_requests_refused_total{status=\"404\"} 2");
    has(text, "sluice_requests_refused_total{status=\"429\"} 1");
    has(text, "sluice_workers 1");
    has(text, "sluice_generations 2");
    has(text, "sluice_worker_deaths_total 8");
    has(text, "sluice_config_reloads_total{result=\"ok\"} 6");
    has(text, "sluice_config_reloads_total{result=\"failed\"} 7");
    has(text, "sluice_config_last_reload_seconds 1000");
    has(text, "sluice_start_time_seconds 1000");
    has(text, "sluice_draining 1");
    has(text, "sluice_build_info{version=\"" SLUICE_VERSION "\"} 1");
    free(text);
    atomic_store(&board.head->reloaded_s, 2000);
    text = page();
    has(text, "sluice_config_last_reload_seconds 2000");
    free(text);
}

static void buckets_add_up(void **state)
{
    (void)state;
    unsigned desk = board_row(&board, "desk");
    struct tally_histogram *connect = &worker(0, 1)->rows[desk].connect;
    tally_add(&connect->buckets[0], 2);
    tally_add(&connect->buckets[1], 3);
    tally_add(&connect->buckets[TALLY_BUCKETS], 1);
    tally_add(&connect->sum_us, 12345678);
    char *text = page(), line[128];
    (void)snprintf(line, sizeof line, "sluice_target_connect_seconds_bucket{route=\"desk\",le=\"%g\"} 2",
        tally_connect_bounds_ms[0] / 1000.0);
    has(text, line);
    for (size_t i = 1; i < TALLY_BUCKETS; i++) {
        (void)snprintf(line, sizeof line, "sluice_target_connect_seconds_bucket{route=\"desk\",le=\"%g\"} 5",
            tally_connect_bounds_ms[i] / 1000.0);
        has(text, line);
    }
    has(text, "sluice_target_connect_seconds_bucket{route=\"desk\",le=\"+Inf\"} 6");
    has(text, "sluice_target_connect_seconds_count{route=\"desk\"} 6");
    has(text, "sluice_target_connect_seconds_sum{route=\"desk\"} 12.345678");
    has(text, "sluice_ping_seconds_count{route=\"desk\"} 0");
    free(text);
}

static void counts_of_the_dead_stay(void **state)
{
    (void)state;
    unsigned desk = board_row(&board, "desk");
    struct tally *tally = worker(0, 1);
    tally_add(&tally->rows[desk].up_bytes, 100);
    tally_add(&tally->rows[desk].sessions, 1);
    tally_add(&tally->accepted, 5);
    board_fold_slot(&board, 0);
    char *text = page();
    has(text, "sluice_bytes_total{route=\"desk\",direction=\"up\"} 100");
    has(text, "sluice_sessions{route=\"desk\"} 0");
    has(text, "sluice_connections_total 5");
    has(text, "sluice_generations 0");
    free(text);
}

static void a_slot_that_is_about_to_start_is_no_generation(void **state)
{
    (void)state;
    assert_true(board_take_slot(&board) >= 0);
    char *text = page();
    has(text, "sluice_generations 0");
    free(text);
}

static void names_cannot_break_out(void **state)
{
    (void)state;
    (void)board_row(&board, "a\"b\\c\nd} 1");
    char cut[BOARD_NAME_MAX + 8];
    memset(cut, 'n', sizeof cut);
    memcpy(cut + BOARD_NAME_MAX - 2, "\xC3\xA9\xC3\xA9\0", 5); /* the cut goes through a character */
    (void)board_row(&board, cut);
    char *text = page(), line[128];
    has(text, "sluice_sessions{route=\"a\\\"b\\\\c\\nd} 1\"} 0");
    (void)snprintf(line, sizeof line, "sluice_sessions{route=\"%.*s\"} 0", BOARD_NAME_MAX - 2, cut);
    has(text, line);
    free(text);
}

static void a_full_table_of_rows(void **state)
{
    (void)state;
    char name[32];
    for (unsigned i = 0; i < TALLY_ROWS + 3; i++) {
        (void)snprintf(name, sizeof name, "route-%u", i);
        (void)board_row(&board, name);
    }
    char *text = page();
    has(text, "sluice_sessions{route=\"route-1022\"} 0");
    has(text, "sluice_sessions{route=\"(others)\"} 0");
    has_not(text, "route=\"\"");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_idle_service, make_board, end_board),
        cmocka_unit_test_setup_teardown(sums_over_workers, make_board, end_board),
        cmocka_unit_test_setup_teardown(buckets_add_up, make_board, end_board),
        cmocka_unit_test_setup_teardown(counts_of_the_dead_stay, make_board, end_board),
        cmocka_unit_test_setup_teardown(
            a_slot_that_is_about_to_start_is_no_generation, make_board, end_board),
        cmocka_unit_test_setup_teardown(names_cannot_break_out, make_board, end_board),
        cmocka_unit_test_setup_teardown(a_full_table_of_rows, make_board, end_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
