#include "serve/ctl_internal.h"
#include "serve/ctl_top.h"
#include <stdlib.h>
#include <string.h>

enum {
    CELLS_MAX = 32,
    WIDTH_LEAST = 80,
    FIXED_WIDTH = 52,
    CLIENT_MAX = 22,
    ROUTE_MAX = 16,
    TARGET_LEAST = 8
};

static const char *const names[] = {"id", "client", "route", "target", "up_bytes", "down_bytes", "age_ms",
    "up_stalled_ms", "down_stalled_ms", "ping_ms"};

enum {
    NAME_ID,
    NAME_CLIENT,
    NAME_ROUTE,
    NAME_TARGET,
    NAME_UP,
    NAME_DOWN,
    NAME_AGE,
    NAME_UP_STALLED,
    NAME_DOWN_STALLED,
    NAME_PING,
    NAMES
};

/* columns[i] is the place of names[i], or -1. */
static void find_columns(struct slice head, int columns[NAMES])
{
    struct slice cell;
    for (int i = 0; i < NAMES; i++) {
        columns[i] = -1;
    }
    for (int at = 0; at < CELLS_MAX && slice_next(&head, '\t', &cell); at++) {
        for (int i = 0; i < NAMES; i++) {
            if (slice_eq(cell, slice_from(names[i]))) {
                columns[i] = at;
            }
        }
    }
}

static uint64_t number(struct slice s)
{
    uint64_t value;
    return slice_to_u64(s, UINT64_MAX, &value) ? value : 0; /* "-": there is none */
}

static struct top_row read_row(struct slice line, const int columns[NAMES])
{
    struct slice cells[NAMES] = {{0}};
    struct slice cell;
    for (int at = 0; at < CELLS_MAX && slice_next(&line, '\t', &cell); at++) {
        for (int i = 0; i < NAMES; i++) {
            if (columns[i] == at) {
                cells[i] = cell;
            }
        }
    }
    uint64_t ignored;
    return (struct top_row){
        .id = cells[NAME_ID],
        .client = cells[NAME_CLIENT],
        .route = cells[NAME_ROUTE],
        .target = cells[NAME_TARGET],
        .up_bytes = number(cells[NAME_UP]),
        .down_bytes = number(cells[NAME_DOWN]),
        .age_ms = number(cells[NAME_AGE]),
        .stalled_ms = number(cells[NAME_UP_STALLED]) + number(cells[NAME_DOWN_STALLED]),
        .ping_ms = number(cells[NAME_PING]),
        .has_ping = slice_to_u64(cells[NAME_PING], UINT64_MAX, &ignored),
    };
}

/* All ids have as many digits. */
static int by_id(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;
    size_t len = x->id.len < y->id.len ? x->id.len : y->id.len;
    int order = len > 0 ? memcmp(x->id.p, y->id.p, len) : 0;
    return order != 0 ? order : (x->id.len > y->id.len) - (x->id.len < y->id.len);
}

bool top_read(struct slice table, struct top_rows *rows)
{
    int columns[NAMES];
    struct slice line = {0};
    size_t cap = 0;
    *rows = (struct top_rows){0};
    (void)ctl_next_line(&table, &line); /* nothing there: no columns */
    find_columns(line, columns);
    while (ctl_next_line(&table, &line)) {
        if (rows->count == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            struct top_row *more = realloc(rows->rows, cap * sizeof *more);
            if (more == NULL) {
                top_fini(rows);
                return false;
            }
            rows->rows = more;
        }
        rows->rows[rows->count++] = read_row(line, columns);
    }
    if (rows->count > 1) {
        qsort(rows->rows, rows->count, sizeof *rows->rows, by_id);
    }
    return true;
}

void top_fini(struct top_rows *rows)
{
    free(rows->rows);
    *rows = (struct top_rows){0};
}

static double grown(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before) : 0;
}

void top_rates(struct top_rows *now, const struct top_rows *before, double seconds)
{
    for (size_t i = 0; i < now->count; i++) {
        struct top_row *row = &now->rows[i];
        struct top_row *old =
            before->count == 0 ? NULL : bsearch(row, before->rows, before->count, sizeof *row, by_id);
        double over =
            old == NULL && (double)row->age_ms / 1000 < seconds ? (double)row->age_ms / 1000 : seconds;
        over = over > 0.001 ? over : 0.001;
        /* One that is old and was not listed before is no measure. */
        bool fresh = old == NULL && (double)row->age_ms / 1000 <= seconds;
        row->up_rate =
            old != NULL || fresh ? grown(row->up_bytes, old != NULL ? old->up_bytes : 0) / over : 0;
        row->down_rate =
            old != NULL || fresh ? grown(row->down_bytes, old != NULL ? old->down_bytes : 0) / over : 0;
    }
}

const char *top_order_name(enum top_order order)
{
    switch (order) {
    case TOP_THROUGHPUT:
        return "throughput";
    case TOP_UP:
        return "up";
    case TOP_DOWN:
        return "down";
    case TOP_AGE:
        return "age";
    case TOP_STALLED:
    case TOP_ORDERS:
        break;
    }
    return "stalled";
}

static double measure(const struct top_row *row, enum top_order order)
{
    switch (order) {
    case TOP_THROUGHPUT:
        return row->up_rate + row->down_rate;
    case TOP_UP:
        return row->up_rate;
    case TOP_DOWN:
        return row->down_rate;
    case TOP_AGE:
        return (double)row->age_ms;
    case TOP_STALLED:
    case TOP_ORDERS:
        break;
    }
    return (double)row->stalled_ms;
}

struct sorting {
    enum top_order order;
    bool reversed;
};

static int by_measure(const void *a, const void *b, void *context)
{
    const struct sorting *how = context;
    double x = measure(a, how->order), y = measure(b, how->order);
    int order = (x < y) - (x > y);
    return order == 0 ? by_id(a, b) : how->reversed ? -order : order;
}

void top_sort(struct top_rows *rows, enum top_order order, bool reversed)
{
    struct sorting how = {order, reversed};
    if (rows->count > 1) {
        qsort_r(rows->rows, rows->count, sizeof *rows->rows, by_measure, &how);
    }
}

/* "12B", "1.5K", "310.0M": at most seven characters. */
static void rate_text(double rate, char out[16])
{
    static const char units[] = "BKMGT";
    size_t unit = 0;
    while (rate >= 1000 && unit < 4) {
        rate /= 1024;
        unit++;
    }
    (void)snprintf(out, 16, unit == 0 ? "%.0f%c" : "%.1f%c", rate, units[unit]);
}

/* "12s", "3h": at most four characters. */
static void span_text(uint64_t seconds, char out[24])
{
    unsigned long long n = seconds < 60 ? seconds : seconds < 3600 ? seconds / 60 : seconds / 3600;
    char unit = seconds < 60 ? 's' : seconds < 3600 ? 'm' : 'h';
    if (seconds >= 48 * 3600) {
        n = seconds / 86400;
        unit = 'd';
    }
    (void)snprintf(out, 24, "%llu%c", n, unit);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static void draw_row(const struct top_row *row, int client, int route, int target, const char *end, FILE *out)
{
    char up[16], down[16], age[24], ping[32], stalled[24];
    rate_text(row->up_rate, up);
    rate_text(row->down_rate, down);
    span_text(row->age_ms / 1000, age);
    span_text(row->stalled_ms / 1000, stalled);
    (void)snprintf(ping, sizeof ping, row->has_ping ? "%llums" : "-", (unsigned long long)row->ping_ms);
    (void)fprintf(out, "%-16.16s %-*.*s %-*.*s ", row->id.len == 16 ? row->id.p : "-", client,
        least((int)row->client.len, client), row->client.p, route, least((int)row->route.len, route),
        row->route.p);
    if (target > 0) {
        (void)fprintf(out, "%-*.*s ", target, least((int)row->target.len, target), row->target.p);
    }
    (void)fprintf(out, "%7.7s %7.7s %4.4s %6.6s %5.5s%s", up, down, age, ping, stalled, end);
}

void top_draw(
    const struct top_rows *rows, enum top_order order, int width, int height, const char *end, FILE *out)
{
    double up = 0, down = 0;
    char up_text[16], down_text[16];
    for (size_t i = 0; i < rows->count; i++) {
        up += rows->rows[i].up_rate;
        down += rows->rows[i].down_rate;
    }
    rate_text(up, up_text);
    rate_text(down, down_text);
    int free_width = (width < WIDTH_LEAST ? WIDTH_LEAST : width) - FIXED_WIDTH;
    int client = least(free_width * 2 / 3, CLIENT_MAX);
    int route = least(free_width - client, ROUTE_MAX);
    int target = free_width - client - route - 1;
    target = target >= TARGET_LEAST ? target : 0;
    (void)fprintf(out, "%zu sessions, up %s/s, down %s/s; by %s%s", rows->count, up_text, down_text,
        top_order_name(order), end);
    (void)fprintf(out, "%-16s %-*s %-*s ", "ID", client, "CLIENT", route, "ROUTE");
    if (target > 0) {
        (void)fprintf(out, "%-*s ", target, "TARGET");
    }
    (void)fprintf(out, "%7s %7s %4s %6s %5s%s", "UP/s", "DOWN/s", "AGE", "PING", "STALL", end);
    for (size_t i = 0; i < rows->count && (height == 0 || (int)i < height - 2); i++) {
        draw_row(&rows->rows[i], client, route, target, end, out);
    }
}
