/* The memory that the supervisor, its workers and the admin process share: counters by slot, what dead
 * workers had counted, TLS ticket keys, how things stand. The supervisor makes it before it forks; it is a
 * memfd, so pages that nobody touches cost nothing.
 *
 * A worker writes its own slot alone. The supervisor gives out slots, and adds a dead worker's counts to
 * `past`, where the sessions that it still had have ended as `internal`. Readers see sums that never go back:
 * board_sum reads again when a slot was folded in between. */
#ifndef SLUICE_SERVE_BOARD_H
#define SLUICE_SERVE_BOARD_H

#include "net/tls_tickets.h"
#include "relay/census.h"

enum {
    BOARD_SLOTS = 1024,
    BOARD_NAME_MAX = 64,          /* of a route, with its NUL; longer names are cut */
    BOARD_SLOT_CLIENTS = 1 << 16, /* entries of a slot's table of clients */
    BOARD_BUCKETS = 1 << 16,      /* entries of the table of new sessions */
    BOARD_TAKEN = -1,
};

/* How many sessions of one client a worker has. An entry whose count fell to 0 keeps its hash, so that
 * probing goes on behind it, and may be taken by another client. */
struct board_client {
    _Atomic uint64_t hash; /* 0: never used */
    _Atomic uint64_t count;
};

/* When the next new session of one client has its place (GCRA's theoretical arrival time), with a few bits of
 * the client's hash, in one word: one compare-and-swap moves both. 0: never used. */
typedef _Atomic uint64_t board_bucket;

/* Written by the supervisor alone, but for `turned_ms`. */
struct board_slot {
    _Atomic int32_t pid; /* 0: free; BOARD_TAKEN: for a process that is about to start */
    _Atomic uint32_t generation;
    _Atomic uint32_t index; /* of the worker in its generation */
    _Atomic bool retired;   /* accepts no more */
    _Atomic bool ready;
    _Atomic int64_t started_s;  /* since the epoch */
    _Atomic uint64_t turned_ms; /* its loop's last turn, by the monotonic clock; the worker writes it */
};

struct board_head {
    _Atomic uint64_t folds;      /* odd while a slot is folded into `past` */
    _Atomic uint32_t slots_used; /* slots at and behind it were never used */
    _Atomic uint32_t rows_used;
    _Atomic uint32_t generation;
    _Atomic uint32_t workers; /* of the newest generation, ready now */
    _Atomic bool draining;
    _Atomic uint64_t reloads_ok, reloads_failed;
    _Atomic uint64_t worker_deaths;
    _Atomic int64_t started_s;
    _Atomic int64_t reloaded_s; /* the last that went well */
    _Atomic uint64_t log_tat;   /* of log.rate, for all processes; see log_limit */
    uint64_t hash_key[2];       /* of the tables of clients; random */
    struct tls_tickets tickets;
    char names[TALLY_ROWS][BOARD_NAME_MAX]; /* [rows_used] */
    struct board_slot slots[BOARD_SLOTS];
};

struct board {
    struct board_head *head;
    struct tally *past;           /* what ended workers had counted; its gauges are 0 */
    struct tally *tallies;        /* [BOARD_SLOTS] */
    struct board_client *clients; /* [BOARD_SLOTS][BOARD_SLOT_CLIENTS] */
    board_bucket *buckets;        /* [BOARD_BUCKETS] */
    int fd;
};

/* False: errno says why. Maps it for this process and those that it forks; none of it goes into a core. */
bool board_init(struct board *board) __attribute__((warn_unused_result));
void board_fini(struct board *board);

/* Slots and rows ever used. A worker that was taken over can write any number there: none leads out of the
 * board. */
unsigned board_slots_used(const struct board *board);
unsigned board_rows_used(const struct board *board);

/* The row of a route's name, given out when it is new; the last row when there is no other. Supervisor only.
 */
unsigned board_row(struct board *board, const char *name);

/* A free slot, its tally and clients zero, its `pid` BOARD_TAKEN; -1: none is left. Supervisor only. */
int board_take_slot(struct board *board) __attribute__((warn_unused_result));
/* Adds what the slot counted to `past`, and frees it. Supervisor only, once its process is gone. */
void board_fold_slot(struct board *board, unsigned slot);

/* The counts of a worker, and the limits across all of them. `board` outlives the census. */
void board_census(struct board *board, unsigned slot, struct census *census);
/* Its parts that count clients: board_clients.c. */
void board_census_clients(struct census *census);

/* Sums of everything, for /metrics: `past` and every slot. */
void board_sum_row(const struct board *board, unsigned row, struct tally_row *sum);
/* All but the rows. */
struct board_totals {
    uint64_t sessions, lingering, connections, accepted, proxy_refused, tls_failed, log_lost;
    uint64_t refused[TALLY_STATUSES];
};
void board_sum(const struct board *board, struct board_totals *sum);

#endif
