/* The table of `sluice ctl top`: from two of the admin listener's tables to lines of text. Pure. */
#ifndef SLUICE_SERVE_CTL_TOP_H
#define SLUICE_SERVE_CTL_TOP_H

#include "base/slice.h"
#include <stdio.h>

enum top_order { TOP_THROUGHPUT, TOP_UP, TOP_DOWN, TOP_AGE, TOP_STALLED, TOP_ORDERS };

struct top_row {
    struct slice id, client, route, target; /* within the table that was read */
    uint64_t up_bytes, down_bytes, age_ms, stalled_ms;
    uint64_t ping_ms;
    bool has_ping;
    double up_rate, down_rate; /* bytes a second */
};

struct top_rows {
    struct top_row *rows;
    size_t count;
};

/* Reads the table of /sessions, its lines sorted by id; columns are found by the names in its first line.
 * False: no memory. */
bool top_read(struct slice table, struct top_rows *rows) __attribute__((warn_unused_result));
void top_fini(struct top_rows *rows);

/* The rates of `now`, from what `before` (sorted by id) had `seconds` ago; of a session that is new, over its
 * age. */
void top_rates(struct top_rows *now, const struct top_rows *before, double seconds);

/* The first in order first; equal ones by id. */
void top_sort(struct top_rows *rows, enum top_order order, bool reversed);
const char *top_order_name(enum top_order order);

/* A line of sums, a head and as many rows as `height` lines have room for (0: all), none wider than `width`
 * (at least 80). `end` stands at the end of each line. */
void top_draw(
    const struct top_rows *rows, enum top_order order, int width, int height, const char *end, FILE *out);

#endif
