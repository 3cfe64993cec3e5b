#include "base/clock.h"
#include "serve/ctl_internal.h"
#include "serve/worker.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `line` is `series value`: whether its series is `series`, and its value. */
static bool read_series(struct slice line, struct slice series, double *value)
{
    char number[64];
    if (!slice_starts(line, series) || line.len <= series.len + 1 || line.p[series.len] != ' ') {
        return false;
    }
    (void)snprintf(number, sizeof number, "%.*s", (int)(line.len - series.len - 1), line.p + series.len + 1);
    *value = strtod(number, NULL);
    return true;
}

double ctl_metric(struct slice text, const char *series)
{
    struct slice line;
    double value = 0;
    while (ctl_next_line(&text, &line)) {
        if (read_series(line, slice_from(series), &value)) {
            break;
        }
    }
    return value;
}

void ctl_span(uint64_t seconds, char *out, size_t cap)
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds) {
        i++;
    }
    int n = snprintf(out, cap, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].unit);
    if (i < 3 && n > 0 && (size_t)n < cap) {
        uint64_t rest = seconds % units[i].seconds / units[i + 1].seconds;
        (void)snprintf(out + n, cap - (size_t)n, " %" PRIu64 "%c", rest, units[i + 1].unit);
    }
}

static uint64_t whole(struct slice text, const char *series)
{
    double value = ctl_metric(text, series);
    return value > 0 ? (uint64_t)value : 0;
}

/* What stands between `before` and the next quote, in the first line that begins with `before`. */
static struct slice quoted_behind(struct slice text, const char *before)
{
    struct slice line, start = slice_from(before);
    while (ctl_next_line(&text, &line)) {
        if (slice_starts(line, start)) {
            struct slice rest = {line.p + start.len, line.len - start.len};
            return (struct slice){rest.p, slice_find(rest, '"')};
        }
    }
    return SLICE("?");
}

/* Each route with its sessions now; and their sum. */
static void print_sessions(struct slice text)
{
    static const char before[] = "sluice_sessions{route=\"";
    struct slice start = {before, sizeof before - 1};
    struct slice rest = text, line;
    double sum = 0;
    for (int printing = 0; printing < 2; printing++, rest = text) {
        while (ctl_next_line(&rest, &line)) {
            size_t end = line.len;
            while (end > 0 && line.p[end - 1] != ' ') {
                end--;
            }
            if (!slice_starts(line, start) || end < start.len + 3) {
                continue;
            }
            struct slice name = {line.p + start.len, end - start.len - 3};
            double value = strtod(line.p + end, NULL);
            sum += printing ? 0 : value;
            if (printing) {
                (void)printf("  %-16.*s %.0f\n", SLICE_ARG(name), value);
            }
        }
        if (!printing) {
            (void)printf("%-18s %.0f\n", "sessions", sum);
        }
    }
}

static void print_status(struct slice text, struct slice readiness)
{
    char up[32], date[32];
    uint64_t now_s = clock_wall_ms() / 1000, started_s = whole(text, "sluice_start_time_seconds");
    uint64_t read_s = whole(text, "sluice_config_last_reload_seconds");
    uint64_t generations = whole(text, "sluice_generations");
    ctl_span(now_s > started_s ? now_s - started_s : 0, up, sizeof up);
    clock_rfc3339(read_s * 1000, date, sizeof date);
    struct slice version = quoted_behind(text, "sluice_build_info{version=\"");
    (void)printf("sluice %.*s, %.*s, up %s\n", SLICE_ARG(version), SLICE_ARG(readiness), up);
    (void)printf("%-18s %" PRIu64 ", %" PRIu64 " died\n", "workers", whole(text, "sluice_workers"),
        whole(text, "sluice_worker_deaths_total"));
    (void)printf("%-18s %" PRIu64 "%s\n", "generations", generations,
        generations > 1 ? ": sessions of an earlier configuration last" : "");
    (void)printf("%-18s %" PRIu64 " ok, %" PRIu64 " failed\n", "reloads",
        whole(text, "sluice_config_reloads_total{result=\"ok\"}"),
        whole(text, "sluice_config_reloads_total{result=\"failed\"}"));
    (void)printf("%-18s %.*sZ\n", "configuration of", 19, date);
    (void)printf("%-18s %" PRIu64 "\n", "connections", whole(text, "sluice_connections"));
    print_sessions(text);
}

int ctl_status(const struct endpoint *admin)
{
    struct ctl_answer ready, metrics;
    char why[CTL_WHY_MAX];
    int status;
    if (!ctl_ask_fine(admin, "GET", "/metrics", "text/plain", &metrics, &status)) {
        return status;
    }
    struct slice readiness = SLICE("not ready");
    if (ctl_ask(admin, "GET", "/readyz", "text/plain", &ready, why)) {
        (void)ctl_next_line(&ready.body, &readiness); /* empty: what stands there */
    }
    print_status(metrics.body, readiness);
    ctl_answer_fini(&metrics);
    ctl_answer_fini(&ready);
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? EXIT_FINE : EXIT_CANNOT_RUN;
}
