#include "serve/admin_pages.h"
#include "base/clock.h"
#include "serve/metrics.h"
#include <inttypes.h>

const char *admin_page_not_ready(const struct board *board)
{
    if (atomic_load(&board->head->draining)) {
        return "draining";
    }
    return atomic_load(&board->head->workers) == 0 ? "no worker is ready" : NULL;
}

const char *admin_page_type(enum admin_page page)
{
    switch (page) {
    case ADMIN_HEALTH:
    case ADMIN_READY:
        break;
    case ADMIN_METRICS:
        return METRICS_CONTENT_TYPE;
    case ADMIN_WORKERS:
    case ADMIN_SESSIONS:
    case ADMIN_SESSION:
        return "application/json";
    }
    return "text/plain; charset=utf-8";
}

static void write_worker(const struct board *board, uint32_t slot, bool first, FILE *out)
{
    const struct board_slot *worker = &board->head->slots[slot];
    char started[32];
    int64_t started_s = atomic_load(&worker->started_s);
    clock_rfc3339(started_s > 0 ? (uint64_t)started_s * 1000 : 0, started, sizeof started);
    (void)fprintf(out,
        "%s{\"pid\":%" PRId32 ",\"slot\":%" PRIu32 ",\"generation\":%" PRIu32 ",\"index\":%" PRIu32
        ",\"ready\":%s,\"retired\":%s,\"sessions\":%" PRIu64 ",\"connections\":%" PRIu64
        ",\"started\":\"%s\"}",
        first ? "" : ",\n", atomic_load(&worker->pid), slot, atomic_load(&worker->generation),
        atomic_load(&worker->index), atomic_load(&worker->ready) ? "true" : "false",
        atomic_load(&worker->retired) ? "true" : "false", tally_read(&board->tallies[slot].sessions),
        tally_read(&board->tallies[slot].connections), started);
}

static void write_workers(const struct board *board, FILE *out)
{
    bool first = true;
    uint32_t used = atomic_load(&board->head->slots_used);
    (void)fputc('[', out);
    for (uint32_t slot = 0; slot < used && slot < BOARD_SLOTS; slot++) {
        if (atomic_load(&board->head->slots[slot].pid) > 0) {
            write_worker(board, slot, first, out);
            first = false;
        }
    }
    (void)fputs("]\n", out);
}

bool admin_page_write(const struct board *board, enum admin_page page, FILE *out)
{
    switch (page) {
    case ADMIN_HEALTH:
        (void)fputs("ok\n", out);
        break;
    case ADMIN_READY:
        (void)fputs("ready\n", out);
        break;
    case ADMIN_METRICS:
        return metrics_write(board, out);
    case ADMIN_WORKERS:
        write_workers(board, out);
        break;
    case ADMIN_SESSIONS:
    case ADMIN_SESSION:
        break; /* of the workers: admin_gather.c */
    }
    return true;
}
