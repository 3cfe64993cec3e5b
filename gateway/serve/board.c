#include "serve/board.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    READS_MAX = 10000, /* of a sum that is folded under the reader each time, or whose writer died in it */
};

#define PAGES(bytes) (((bytes) + PAGE - 1) / PAGE * PAGE)

/* Where the parts lie. */
#define PAST_AT            PAGES(sizeof(struct board_head))
#define TALLIES_AT         (PAST_AT + PAGES(sizeof(struct tally)))
#define CLIENTS_AT         (TALLIES_AT + PAGES(BOARD_SLOTS * sizeof(struct tally)))
#define SLOT_CLIENTS_BYTES (BOARD_SLOT_CLIENTS * sizeof(struct board_client))
#define BUCKETS_AT         (CLIENTS_AT + BOARD_SLOTS * SLOT_CLIENTS_BYTES)
#define BOARD_BYTES        (BUCKETS_AT + BOARD_BUCKETS * sizeof(board_bucket))

/* The tally's own words stand in front of its rows. */
#define ROW_WORDS   (sizeof(struct tally_row) / sizeof(tally_count))
#define TOTAL_WORDS (offsetof(struct tally, rows) / sizeof(tally_count))
_Static_assert(sizeof(struct tally_row) % sizeof(tally_count) == 0, "a row is made of counts alone");
_Static_assert(offsetof(struct tally, rows) % sizeof(tally_count) == 0, "and so is what is in front of them");

bool board_init(struct board *board)
{
    *board = (struct board){.fd = memfd_create("sluice-board", MFD_CLOEXEC)};
    if (board->fd < 0) {
        return false;
    }
    char *base = MAP_FAILED;
    if (ftruncate(board->fd, (off_t)BOARD_BYTES) == 0) {
        base = mmap(NULL, BOARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, board->fd, 0);
    }
    if (base == MAP_FAILED) {
        int err = errno;
        close(board->fd);
        errno = err;
        return false;
    }
    (void)madvise(base, BOARD_BYTES, MADV_DONTDUMP); /* it holds keys; a kernel without it dumps them */
    board->head = (struct board_head *)(void *)base;
    board->past = (struct tally *)(void *)(base + PAST_AT);
    board->tallies = (struct tally *)(void *)(base + TALLIES_AT);
    board->clients = (struct board_client *)(void *)(base + CLIENTS_AT);
    board->buckets = (board_bucket *)(void *)(base + BUCKETS_AT);
    atomic_store(&board->head->started_s, (int64_t)(clock_wall_ms() / 1000));
    if (getrandom(board->head->hash_key, sizeof board->head->hash_key, 0) !=
        (ssize_t)sizeof board->head->hash_key) {
        board_fini(board);
        errno = EIO;
        return false;
    }
    return true;
}

void board_fini(struct board *board)
{
    if (board->head != NULL) {
        (void)munmap(board->head, BOARD_BYTES);
        close(board->fd);
    }
    *board = (struct board){.fd = -1};
}

/* ---- Rows and slots: the supervisor's. */

unsigned board_slots_used(const struct board *board)
{
    unsigned used = atomic_load(&board->head->slots_used);
    return used < BOARD_SLOTS ? used : BOARD_SLOTS;
}

unsigned board_rows_used(const struct board *board)
{
    unsigned used = atomic_load(&board->head->rows_used);
    return used < TALLY_ROWS ? used : TALLY_ROWS;
}

unsigned board_row(struct board *board, const char *name)
{
    char cut[BOARD_NAME_MAX];
    size_t len = strnlen(name, BOARD_NAME_MAX - 1);
    memcpy(cut, name, len);
    cut[len] = '\0';
    struct board_head *head = board->head;
    unsigned used = board_rows_used(board);
    for (unsigned row = 0; row < used; row++) {
        if (strcmp(head->names[row], cut) == 0) {
            return row;
        }
    }
    unsigned row = used < TALLY_ROWS - 1 ? used : TALLY_ROWS - 1;
    if (used < TALLY_ROWS) {
        memcpy(head->names[row], row < TALLY_ROWS - 1 ? cut : "(others)", row < TALLY_ROWS - 1 ? len + 1 : 9);
        atomic_store(&head->rows_used, row + 1); /* the name is whole before a reader looks for it */
    }
    return row;
}

int board_take_slot(struct board *board)
{
    struct board_head *head = board->head;
    for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
        struct board_slot *one = &head->slots[slot];
        if (atomic_load(&one->pid) != 0) {
            continue;
        }
        atomic_store(&one->retired, false);
        atomic_store(&one->ready, false);
        atomic_store(&one->turned_ms, clock_now_ms());
        atomic_store(&one->started_s, (int64_t)(clock_wall_ms() / 1000));
        atomic_store(&one->pid, BOARD_TAKEN);
        if (slot >= atomic_load(&head->slots_used)) {
            atomic_store(&head->slots_used, slot + 1);
        }
        return (int)slot;
    }
    return -1;
}

/* What has been counted for good goes to `past`; how many there are now ended with the process. */
static void fold_words(tally_count *past, const tally_count *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t n = tally_read(&words[i]);
        if (n > 0) {
            tally_add(&past[i], n);
        }
    }
}

/* Sessions that a worker had when it died ended with it, and that is our fault: their cause is `internal`. */
static void clear_gauges(struct tally *past, unsigned rows)
{
    atomic_store(&past->sessions, 0);
    atomic_store(&past->lingering, 0);
    atomic_store(&past->connections, 0);
    for (unsigned row = 0; row < rows; row++) {
        tally_add(&past->rows[row].ended[CAUSE_INTERNAL], tally_read(&past->rows[row].sessions));
        atomic_store(&past->rows[row].sessions, 0);
        atomic_store(&past->rows[row].lingering, 0);
    }
}

/* Gives the pages back, too: a hole reads as zeros. */
static void zero(struct board *board, const void *part, size_t bytes)
{
    off_t at = (off_t)((const char *)part - (const char *)board->head);
    if (fallocate(board->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)bytes) != 0) {
        memset((char *)board->head + at, 0, bytes); /* a kernel that cannot: the pages stay */
    }
}

void board_fold_slot(struct board *board, unsigned slot)
{
    struct board_head *head = board->head;
    struct tally *tally = &board->tallies[slot];
    unsigned rows = board_rows_used(board);
    atomic_fetch_add(&head->folds, 1);
    atomic_thread_fence(memory_order_release); /* nobody sees a count that moved under an even number */
    fold_words((tally_count *)board->past, (const tally_count *)tally, TOTAL_WORDS);
    for (unsigned row = 0; row < rows; row++) {
        fold_words((tally_count *)&board->past->rows[row], (const tally_count *)&tally->rows[row], ROW_WORDS);
    }
    clear_gauges(board->past, rows);
    zero(board, tally, sizeof *tally);
    atomic_store(&head->slots[slot].ready, false);
    atomic_store(&head->slots[slot].pid, 0);
    atomic_fetch_add(&head->folds, 1);
    zero(board, &board->clients[(size_t)slot * BOARD_SLOT_CLIENTS], SLOT_CLIENTS_BYTES);
}

/* ---- Sums. */

static bool is_used(const struct board *board, unsigned slot)
{
    return atomic_load_explicit(&board->head->slots[slot].pid, memory_order_relaxed) != 0;
}

/* `sum` of the words that lie `at` bytes into every tally. */
static void add_up(const struct board *board, size_t at, uint64_t *sum, size_t words)
{
    const tally_count *past = (const tally_count *)(const void *)((const char *)board->past + at);
    for (size_t i = 0; i < words; i++) {
        sum[i] = tally_read(&past[i]);
    }
    unsigned used = board_slots_used(board);
    for (unsigned slot = 0; slot < used; slot++) {
        if (!is_used(board, slot)) {
            continue;
        }
        const char *tally = (const char *)&board->tallies[slot];
        const tally_count *own = (const tally_count *)(const void *)(tally + at);
        for (size_t i = 0; i < words; i++) {
            sum[i] += tally_read(&own[i]);
        }
    }
}

/* Again where a slot went to `past` meanwhile: its counts would be missed, or counted twice. */
static void sum_whole(const struct board *board, size_t at, uint64_t *sum, size_t words)
{
    for (int reads = 0; reads < READS_MAX; reads++) {
        uint64_t before = atomic_load(&board->head->folds);
        add_up(board, at, sum, words);
        atomic_thread_fence(memory_order_seq_cst);
        if (before % 2 == 0 && atomic_load(&board->head->folds) == before) {
            return;
        }
        (void)sched_yield();
    }
}

void board_sum_row(const struct board *board, unsigned row, struct tally_row *sum)
{
    uint64_t words[ROW_WORDS];
    sum_whole(board, offsetof(struct tally, rows) + row * sizeof(struct tally_row), words, ROW_WORDS);
    tally_count *into = (tally_count *)sum;
    for (size_t i = 0; i < ROW_WORDS; i++) {
        atomic_store_explicit(&into[i], words[i], memory_order_relaxed);
    }
}

void board_sum(const struct board *board, struct board_totals *sum)
{
    struct tally whole;
    uint64_t words[TOTAL_WORDS];
    sum_whole(board, 0, words, TOTAL_WORDS);
#define WORD(member) words[offsetof(struct tally, member) / sizeof(tally_count)]
    sum->sessions = WORD(sessions);
    sum->lingering = WORD(lingering);
    sum->connections = WORD(connections);
    sum->accepted = WORD(accepted);
    sum->proxy_refused = WORD(proxy_refused);
    sum->tls_failed = WORD(tls_failed);
    sum->log_lost = WORD(log_lost);
    memcpy(sum->refused, &WORD(refused), sizeof whole.refused);
#undef WORD
}

/* ---- A worker's view. */

static void sum_two(const struct board *board, size_t sessions_at, size_t lingering_at, uint64_t *sessions,
    uint64_t *lingering)
{
    *sessions = 0;
    *lingering = 0;
    atomic_thread_fence(
        memory_order_seq_cst); /* our own count is to be seen by others before we see theirs */
    unsigned used = board_slots_used(board);
    for (unsigned slot = 0; slot < used; slot++) {
        if (is_used(board, slot)) {
            const char *tally = (const char *)&board->tallies[slot];
            *sessions += tally_read((const tally_count *)(const void *)(tally + sessions_at));
            *lingering += tally_read((const tally_count *)(const void *)(tally + lingering_at));
        }
    }
}

static void census_row(const struct census *census, unsigned row, uint64_t *sessions, uint64_t *lingering)
{
    size_t at = offsetof(struct tally, rows) + row * sizeof(struct tally_row);
    sum_two(census->context, at + offsetof(struct tally_row, sessions),
        at + offsetof(struct tally_row, lingering), sessions, lingering);
}

static void census_all(const struct census *census, uint64_t *sessions, uint64_t *lingering)
{
    sum_two(census->context, offsetof(struct tally, sessions), offsetof(struct tally, lingering), sessions,
        lingering);
}

void board_census(struct board *board, unsigned slot, struct census *census)
{
    *census = (struct census){
        .own = &board->tallies[slot],
        .row = census_row,
        .all = census_all,
        .context = board,
    };
    board_census_clients(census);
}
