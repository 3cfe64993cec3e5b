#include "serve/metrics.h"
#include "proto/utf8.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One row's counts, with the name that its series carry. */
struct named_row {
    const char *name;
    struct tally_row row;
};

struct metrics {
    FILE *out;
    const struct board *board;
    struct named_row *rows;
    size_t row_count;
};

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM };

static void head(FILE *out, const char *name, enum metric_type type, const char *help)
{
    static const char *const types[] = {
        [METRIC_GAUGE] = "gauge", [METRIC_COUNTER] = "counter", [METRIC_HISTOGRAM] = "histogram"};
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type]);
}

void metrics_write_label(FILE *out, const char *value)
{
    struct utf8 utf8 = {0};
    size_t whole = 0, len = strlen(value);
    for (size_t i = 0; i < len && utf8_feed(&utf8, (const uint8_t *)value + i, 1); i++) {
        whole = utf8_whole(&utf8) ? i + 1 : whole;
    }
    for (size_t i = 0; i < whole; i++) {
        const char *escaped = value[i] == '\\'   ? "\\\\"
                              : value[i] == '"'  ? "\\\""
                              : value[i] == '\n' ? "\\n"
                                                 : NULL;
        if (escaped != NULL) {
            (void)fputs(escaped, out);
        } else {
            (void)fputc(value[i], out);
        }
    }
}

static void label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    metrics_write_label(out, value);
    (void)fputc('"', out);
}

/* A metric that is one number. */
static void single(FILE *out, const char *name, enum metric_type type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void series_of_row(const struct metrics *m, const char *name, size_t row, uint64_t value)
{
    (void)fprintf(m->out, "%s{", name);
    label(m->out, "route", m->rows[row].name);
    (void)fprintf(m->out, "} %" PRIu64 "\n", value);
}

/* A series with the route and one more label. `milli`: the value is in thousandths. */
static void series_of_two(const struct metrics *m, const char *name, size_t row, const char *key,
    const char *value, uint64_t number, bool milli)
{
    (void)fprintf(m->out, "%s{", name);
    label(m->out, "route", m->rows[row].name);
    (void)fprintf(m->out, ",%s=\"%s\"} ", key, value);
    if (milli) {
        (void)fprintf(m->out, "%" PRIu64 ".%03u\n", number / 1000, (unsigned)(number % 1000));
    } else {
        (void)fprintf(m->out, "%" PRIu64 "\n", number);
    }
}

static void sessions(const struct metrics *m)
{
    head(m->out, "sluice_sessions", METRIC_GAUGE, "Sessions now, by route.");
    for (size_t i = 0; i < m->row_count; i++) {
        series_of_row(m, "sluice_sessions", i, tally_read(&m->rows[i].row.sessions));
    }
    head(m->out, "sluice_sessions_total", METRIC_COUNTER, "Sessions that ended, by route and cause.");
    for (size_t i = 0; i < m->row_count; i++) {
        for (unsigned cause = 0; cause < CAUSE_COUNT; cause++) {
            series_of_two(m, "sluice_sessions_total", i, "cause", cause_name((enum cause)cause),
                tally_read(&m->rows[i].row.ended[cause]), false);
        }
    }
}

static void flows(const struct metrics *m)
{
    head(m->out, "sluice_bytes_total", METRIC_COUNTER,
        "Bytes of payload relayed: up is client to target, down is target to client.");
    for (size_t i = 0; i < m->row_count; i++) {
        const struct tally_row *row = &m->rows[i].row;
        series_of_two(m, "sluice_bytes_total", i, "direction", "up", tally_read(&row->up_bytes), false);
        series_of_two(m, "sluice_bytes_total", i, "direction", "down", tally_read(&row->down_bytes), false);
    }
    head(m->out, "sluice_stall_seconds_total", METRIC_COUNTER,
        "Time in which sessions had bytes that were not taken: up by targets, down by clients.");
    for (size_t i = 0; i < m->row_count; i++) {
        const struct tally_row *row = &m->rows[i].row;
        uint64_t up_ms = tally_read(&row->up_stalled_ms), down_ms = tally_read(&row->down_stalled_ms);
        series_of_two(m, "sluice_stall_seconds_total", i, "direction", "up", up_ms, true);
        series_of_two(m, "sluice_stall_seconds_total", i, "direction", "down", down_ms, true);
    }
    head(m->out, "sluice_target_failures_total", METRIC_COUNTER,
        "Connections to targets that failed, also where another target then served.");
    for (size_t i = 0; i < m->row_count; i++) {
        series_of_row(m, "sluice_target_failures_total", i, tally_read(&m->rows[i].row.target_failed));
    }
}

/* The buckets of the format are cumulative, and its count is the last of them: all from one reading of each,
 * so that they fit each other. */
static void one_histogram(const struct metrics *m, const char *name, size_t row,
    const struct tally_histogram *histogram, const uint32_t *bounds_ms)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= TALLY_BUCKETS; i++) {
        below += tally_read(&histogram->buckets[i]);
        (void)fprintf(m->out, "%s_bucket{", name);
        label(m->out, "route", m->rows[row].name);
        if (i < TALLY_BUCKETS) {
            (void)fprintf(m->out, ",le=\"%g\"} %" PRIu64 "\n", bounds_ms[i] / 1000.0, below);
        } else {
            (void)fprintf(m->out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
        }
    }
    uint64_t sum_us = tally_read(&histogram->sum_us);
    (void)fprintf(m->out, "%s_sum{", name);
    label(m->out, "route", m->rows[row].name);
    (void)fprintf(m->out, "} %" PRIu64 ".%06u\n", sum_us / 1000000, (unsigned)(sum_us % 1000000));
    (void)fprintf(m->out, "%s_count{", name);
    label(m->out, "route", m->rows[row].name);
    (void)fprintf(m->out, "} %" PRIu64 "\n", below);
}

static void histograms(const struct metrics *m)
{
    head(m->out, "sluice_target_connect_seconds", METRIC_HISTOGRAM,
        "How long it took to connect to the target, look-up and TLS included.");
    for (size_t i = 0; i < m->row_count; i++) {
        one_histogram(
            m, "sluice_target_connect_seconds", i, &m->rows[i].row.connect, tally_connect_bounds_ms);
    }
    head(m->out, "sluice_session_seconds", METRIC_HISTOGRAM, "How long sessions lasted, once they ended.");
    for (size_t i = 0; i < m->row_count; i++) {
        one_histogram(m, "sluice_session_seconds", i, &m->rows[i].row.session, tally_session_bounds_ms);
    }
    head(m->out, "sluice_ping_seconds", METRIC_HISTOGRAM, "Round trips of pings to clients.");
    for (size_t i = 0; i < m->row_count; i++) {
        one_histogram(m, "sluice_ping_seconds", i, &m->rows[i].row.ping, tally_ping_bounds_ms);
    }
}

static void connections(const struct metrics *m)
{
    struct board_totals sum;
    board_sum(m->board, &sum);
    single(m->out, "sluice_connections", METRIC_GAUGE, "Client connections now, with or without a session.",
        sum.connections);
    single(m->out, "sluice_connections_total", METRIC_COUNTER, "Client connections accepted.", sum.accepted);
    head(m->out, "sluice_requests_refused_total", METRIC_COUNTER,
        "Requests that got an HTTP error and no session, by status.");
    for (unsigned i = 0; i < TALLY_STATUSES && tally_status_at(i) != 0; i++) {
        (void)fprintf(m->out, "sluice_requests_refused_total{status=\"%u\"} %" PRIu64 "\n",
            tally_status_at(i), sum.refused[i]);
    }
    single(m->out, "sluice_proxy_refused_total", METRIC_COUNTER,
        "Connections without the PROXY header that their listener requires.", sum.proxy_refused);
    single(m->out, "sluice_tls_failed_total", METRIC_COUNTER, "TLS handshakes of clients that failed.",
        sum.tls_failed);
    single(m->out, "sluice_log_lost_total", METRIC_COUNTER, "Log lines that were not written.", sum.log_lost);
}

/* How many generations have a process that lives. Generations are few: looked up one by one. */
static uint64_t generations_alive(const struct board_head *board)
{
    uint64_t found = 0;
    uint32_t used = atomic_load(&board->slots_used);
    for (uint32_t i = 0; i < used && i < BOARD_SLOTS; i++) {
        bool first = atomic_load(&board->slots[i].pid) > 0;
        for (uint32_t j = 0; first && j < i; j++) {
            first = atomic_load(&board->slots[j].pid) <= 0 ||
                    atomic_load(&board->slots[j].generation) != atomic_load(&board->slots[i].generation);
        }
        found += first;
    }
    return found;
}

static uint64_t since_epoch(int64_t seconds)
{
    return seconds > 0 ? (uint64_t)seconds : 0;
}

/* Until the first reload: what was read at the start. */
static uint64_t configured_s(const struct board_head *board)
{
    uint64_t reloaded_s = since_epoch(atomic_load(&board->reloaded_s));
    return reloaded_s != 0 ? reloaded_s : since_epoch(atomic_load(&board->started_s));
}

static void service(const struct metrics *m)
{
    const struct board_head *board = m->board->head;
    single(m->out, "sluice_workers", METRIC_GAUGE, "Workers of the newest generation that serve now.",
        atomic_load(&board->workers));
    single(m->out, "sluice_worker_deaths_total", METRIC_COUNTER,
        "Workers that ended though nobody told them to.", atomic_load(&board->worker_deaths));
    single(m->out, "sluice_generations", METRIC_GAUGE,
        "Configurations that still have a worker: more than one while old sessions last.",
        generations_alive(board));
    head(m->out, "sluice_config_reloads_total", METRIC_COUNTER, "Reloads of the configuration, by result.");
    (void)fprintf(m->out,
        "sluice_config_reloads_total{result=\"ok\"} %" PRIu64
        "\nsluice_config_reloads_total{result=\"failed\"} %" PRIu64 "\n",
        atomic_load(&board->reloads_ok), atomic_load(&board->reloads_failed));
    single(m->out, "sluice_config_last_reload_seconds", METRIC_GAUGE,
        "When the configuration in force was read, in seconds since 1970.", configured_s(board));
    head(m->out, "sluice_build_info", METRIC_GAUGE, "Always 1; the version is in its label.");
    (void)fprintf(m->out, "sluice_build_info{version=\"%s\"} 1\n", SLUICE_VERSION);
    single(m->out, "sluice_start_time_seconds", METRIC_GAUGE,
        "When the service started, in seconds since 1970.", since_epoch(atomic_load(&board->started_s)));
    single(m->out, "sluice_draining", METRIC_GAUGE, "1 while the service stops and takes no new sessions.",
        atomic_load(&board->draining));
}

/* A row is some hundred numbers, so they are summed once and not for each metric. */
static bool sum_rows(struct metrics *m)
{
    uint32_t used = atomic_load(&m->board->head->rows_used);
    used = used < TALLY_ROWS ? used : TALLY_ROWS;
    m->rows = calloc(used > 0 ? used : 1, sizeof *m->rows);
    if (m->rows == NULL) {
        return false;
    }
    for (uint32_t row = 0; row < used; row++) {
        m->rows[row].name = m->board->head->names[row];
        board_sum_row(m->board, row, &m->rows[row].row);
    }
    m->row_count = used;
    return true;
}

bool metrics_write(const struct board *board, FILE *out)
{
    struct metrics m = {.out = out, .board = board};
    if (!sum_rows(&m)) {
        return false;
    }
    sessions(&m);
    flows(&m);
    histograms(&m);
    connections(&m);
    service(&m);
    free(m.rows);
    return true;
}
