/* serve/ctl_top_table and ctl_status: what `sluice ctl` makes of the listener's answers. */
#include "serve/ctl_internal.h"
#include "serve/ctl_top.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                                 \
    "id\tclient\troute\ttarget\tage_ms\tup_bytes\tdown_bytes\tup_stalled_ms\tdown_stalled_ms\tping_ms\n"
#define A "000000000000000a\t10.0.0.1:1\tdesk\ttcp://t:1\t5000\t1000\t2000\t0\t0\t12\n"
#define B "000000000000000b\t10.0.0.2:2\tssh\ttcp://t:2\t4000\t0\t0\t1000\t2000\t-\n"

static struct top_rows read_rows(struct slice table)
{
    struct top_rows rows;
    assert_true(top_read(table, &rows));
    return rows;
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    struct top_rows rows = read_rows(SLICE(HEAD B A));
    assert_int_equal(2, rows.count);
    assert_true(slice_eq(rows.rows[0].id, SLICE("000000000000000a")));
    assert_true(slice_eq(rows.rows[0].route, SLICE("desk")));
    assert_int_equal(1000, rows.rows[0].up_bytes);
    assert_int_equal(2000, rows.rows[0].down_bytes);
    assert_true(rows.rows[0].has_ping);
    assert_int_equal(12, rows.rows[0].ping_ms);
    assert_false(rows.rows[1].has_ping);
    assert_int_equal(3000, rows.rows[1].stalled_ms);
    top_fini(&rows);
    rows = read_rows(SLICE("more\tdown_bytes\tid\nx\t7\t000000000000000c\n\nx"));
    assert_int_equal(3, rows.count);
    uint64_t down = 0;
    for (size_t i = 0; i < rows.count; i++) {
        down += rows.rows[i].down_bytes;
    }
    assert_int_equal(7, down);
    top_fini(&rows);
    rows = read_rows(SLICE(""));
    assert_int_equal(0, rows.count);
    top_fini(&rows);
}

static void rates(void **state)
{
    (void)state;
    struct top_rows before = read_rows(SLICE(HEAD A B));
    struct top_rows now = read_rows(SLICE(HEAD "000000000000000a\tx\tx\tx\t7000\t5000\t1000\t0\t0\t1\n"
                                               "000000000000000c\tx\tx\tx\t500\t100\t0\t0\t0\t1\n"
                                               "000000000000000d\tx\tx\tx\t9000000\t100\t0\t0\t0\t1\n"));
    top_rates(&now, &before, 2);
    assert_true(now.rows[0].up_rate > 1999 && now.rows[0].up_rate < 2001);
    assert_true(now.rows[0].down_rate <= 0); /* fewer than before: not a rate below nothing */
    assert_true(now.rows[1].up_rate > 199 && now.rows[1].up_rate < 201);
    assert_true(now.rows[2].up_rate <= 0);
    top_fini(&before);
    before = read_rows(SLICE(""));
    top_rates(&now, &before, 0);
    top_fini(&before);
    top_fini(&now);
}

static char first(const struct top_rows *rows)
{
    return rows->rows[0].id.p[15];
}

static void sorting(void **state)
{
    (void)state;
    struct top_rows rows = read_rows(SLICE(HEAD A B));
    rows.rows[0].up_rate = 1;
    rows.rows[0].down_rate = 5;
    rows.rows[1].up_rate = 2;
    static const struct {
        enum top_order order;
        char first;
    } cases[] = {{TOP_THROUGHPUT, 'a'}, {TOP_UP, 'b'}, {TOP_DOWN, 'a'}, {TOP_AGE, 'a'}, {TOP_STALLED, 'b'}};
    for (size_t i = 0; i < TOP_ORDERS; i++) {
        top_sort(&rows, cases[i].order, false);
        assert_int_equal(cases[i].first, first(&rows));
        top_sort(&rows, cases[i].order, true);
        assert_int_not_equal(cases[i].first, first(&rows));
        assert_true(strlen(top_order_name(cases[i].order)) > 1);
    }
    top_fini(&rows);
}

static char *drawn(const struct top_rows *rows, int width, int height)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    top_draw(rows, TOP_THROUGHPUT, width, height, "\n", out);
    assert_int_equal(0, fclose(out));
    return text;
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    struct top_rows rows = read_rows(SLICE(HEAD A
        "000000000000000c\t[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535\ta-route-with-quite-a-long-name\t"
        "tcp://"
        "a-target-with-quite-a-long-name.example.com:"
        "5900\t99999999999999\t1\t1\t99999999999\t1\t99999999\n"));
    rows.rows[0].up_rate = 1023.4 * 1024;
    rows.rows[1].down_rate = 99e15;
    for (int width = 80; width < 200; width += 13) {
        char *text = drawn(&rows, width, 0);
        struct slice rest = slice_from(text), line;
        int lines = 0;
        while (ctl_next_line(&rest, &line)) {
            if (line.len > (size_t)width) {
                fail_msg("%d columns: %.*s", width, SLICE_ARG(line));
            }
            lines++;
        }
        assert_int_equal(4, lines);
        assert_non_null(strstr(text, "10.0.0.1:1"));
        assert_non_null(strstr(text, "1.0M"));
        assert_int_equal(width >= 106, strstr(text, "TARGET") != NULL);
        free(text);
    }
    top_fini(&rows);
}

static void no_more_lines_than_fit(void **state)
{
    (void)state;
    struct top_rows rows = read_rows(SLICE(HEAD A B));
    char *text = drawn(&rows, 80, 3);
    assert_null(strstr(text, "000000000000000b"));
    assert_non_null(strstr(text, "2 sessions, "));
    free(text);
    top_fini(&rows);
}

static void spans(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{0, "0s"}, {59, "59s"}, {60, "1m 0s"}, {3725, "1h 2m"}, {200000, "2d 7h"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[32];
        ctl_span(cases[i].seconds, out, sizeof out);
        assert_string_equal(cases[i].text, out);
    }
}

static void metrics(void **state)
{
    (void)state;
    struct slice text = SLICE("# HELP a b\na_total 5\na 1.5\nb{x=\"1\"} 7\na 9\n");
    assert_true(ctl_metric(text, "a") > 1.4 && ctl_metric(text, "a") < 1.6);
    assert_int_equal(7, (int)ctl_metric(text, "b{x=\"1\"}"));
    assert_int_equal(0, (int)ctl_metric(text, "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(rates),
        cmocka_unit_test(sorting),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(no_more_lines_than_fit),
        cmocka_unit_test(spans),
        cmocka_unit_test(metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
