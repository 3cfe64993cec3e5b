/* base/log_limit, and a log that keeps to one. */
#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS, CHILDREN = 4 };

static const uint64_t second_ns = 1000000000;
static const uint64_t start_ns = 123456789;

static unsigned take_all(const struct log_limit *limit, _Atomic uint64_t *word, uint64_t now_ns)
{
    unsigned taken = 0;
    while (taken < 100000 && log_limit_take(limit, word, now_ns)) {
        taken++;
    }
    return taken;
}

static void keeps_to_a_rate(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 7, 10, 1000, 99999};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct log_limit limit = log_limit_of(counts[i], SECOND_MS);
        _Atomic uint64_t word = 0;
        /* So many at once, and then so many a second, however often it is asked. */
        assert_int_equal(take_all(&limit, &word, start_ns), counts[i]);
        unsigned taken = 0;
        const unsigned steps = 1000;
        for (unsigned step = 1; step <= steps; step++) {
            taken += take_all(&limit, &word, start_ns + second_ns / steps * step);
        }
        assert_in_range(taken, counts[i] - 1, counts[i] + 1); /* nanoseconds are rounded */
        /* A pause gives back as many at once and no more. */
        assert_int_equal(take_all(&limit, &word, start_ns + 100 * second_ns), counts[i]);
    }
}

static void off_is_no_limit(void **state)
{
    (void)state;
    struct log_limit limit = log_limit_of(0, 0);
    _Atomic uint64_t word = 0;
    assert_int_equal(take_all(&limit, &word, start_ns), 100000);
    assert_int_equal(word, 0);
    limit = log_limit_of(UINT32_MAX, SECOND_MS);
    assert_int_equal(take_all(&limit, &word, start_ns), 100000);
}

/* As after a reload: the word is of 1/h, and the limit is now 10/s. */
static void a_slower_limit_is_soon_forgotten(void **state)
{
    (void)state;
    struct log_limit slow = log_limit_of(1, HOUR_MS), fast = log_limit_of(10, SECOND_MS);
    _Atomic uint64_t word = 0;
    assert_true(log_limit_take(&slow, &word, start_ns));
    assert_false(log_limit_take(&fast, &word, start_ns));
    assert_true(log_limit_take(&fast, &word, start_ns + second_ns / 10));
    assert_false(log_limit_take(&fast, &word, start_ns + second_ns / 10));
}

/* Many processes at one word: together they have what one alone would have. */
static void processes_share_it(void **state)
{
    (void)state;
    const uint32_t count = 20000;
    struct shared {
        _Atomic uint64_t word;
        _Atomic uint64_t taken;
    } *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    struct log_limit limit = log_limit_of(count, SECOND_MS);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            atomic_fetch_add(&shared->taken, take_all(&limit, &shared->word, start_ns));
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(shared->taken, count);
    munmap(shared, sizeof(*shared));
}

/* ---- The log. */

struct fixture {
    struct log log;
    char folder[32];
    char path[48];
    char got[16384];
    _Atomic uint64_t word, total;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/sluice-log-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/log", f->folder);
    log_init(&f->log, LOG_INFO, LOG_TEXT);
    assert_int_equal(log_open_file(&f->log, f->path), 0);
    f->log.lost_total = &f->total;
    log_limit_to(&f->log, 3, HOUR_MS, &f->word);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_fini(&f->log);
    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

static const char *read_back(struct fixture *f)
{
    FILE *file = fopen(f->path, "r");
    assert_non_null(file);
    size_t len = fread(f->got, 1, sizeof(f->got) - 1, file);
    f->got[len] = '\0';
    fclose(file);
    assert_int_equal(truncate(f->path, 0), 0);
    return f->got;
}

static void write_lines(struct log *log, enum log_level level, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct log_line line;
        log_begin(&line, log, level, "e");
        log_u64(&line, "n", i);
        log_end(&line);
    }
}

/* The lines without their times. */
static void expect_lines(struct fixture *f, size_t time_len, const char *const *lines, size_t count)
{
    const char *at = read_back(f);
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(at) > time_len);
        at += time_len;
        assert_memory_equal(at, lines[i], strlen(lines[i]));
        at += strlen(lines[i]);
        assert_int_equal(*at++, '\n');
    }
    assert_string_equal(at, "");
}

enum { TEXT_TIME = 25, JSON_TIME = 35 };
#define EXPECT(f, time, ...)                                                                                 \
    do {                                                                                                     \
        const char *const lines_[] = {__VA_ARGS__};                                                          \
        expect_lines(f, time, lines_, sizeof(lines_) / sizeof(lines_[0]));                                   \
    } while (0)

static void leaves_out_and_tells(void **state)
{
    struct fixture *f = *state;
    write_lines(&f->log, LOG_WARNING, 10);
    EXPECT(f, TEXT_TIME, "warning e n=0", "warning e n=1", "warning e n=2");
    assert_int_equal(f->total, 7);
    f->word = 0; /* an hour goes by */
    write_lines(&f->log, LOG_INFO, 1);
    EXPECT(f, TEXT_TIME, "warning log_lost lines=7 reason=rate", "info e n=0");
    write_lines(&f->log, LOG_INFO, 1);
    EXPECT(f, TEXT_TIME, "info e n=0");
    assert_int_equal(f->total, 7);
}

static void errors_always_pass(void **state)
{
    struct fixture *f = *state;
    write_lines(&f->log, LOG_INFO, 5);
    (void)read_back(f);
    write_lines(&f->log, LOG_ERROR, 2);
    EXPECT(f, TEXT_TIME, "warning log_lost lines=2 reason=rate", "error e n=0", "error e n=1");
    write_lines(&f->log, LOG_INFO, 1); /* they took nothing and gave nothing */
    assert_string_equal(read_back(f), "");
}

static void what_is_below_the_level_takes_nothing(void **state)
{
    struct fixture *f = *state;
    write_lines(&f->log, LOG_DEBUG, 10);
    write_lines(&f->log, LOG_INFO, 3);
    EXPECT(f, TEXT_TIME, "info e n=0", "info e n=1", "info e n=2");
    assert_int_equal(f->total, 0);
}

static void tells_at_its_end(void **state)
{
    struct fixture *f = *state;
    write_lines(&f->log, LOG_INFO, 5);
    (void)read_back(f);
    log_fini(&f->log);
    EXPECT(f, TEXT_TIME, "warning log_lost lines=2 reason=rate");
}

static void tells_in_json(void **state)
{
    struct fixture *f = *state;
    f->log.format = LOG_JSON;
    write_lines(&f->log, LOG_INFO, 5);
    (void)read_back(f);
    f->word = 0;
    write_lines(&f->log, LOG_INFO, 1);
    EXPECT(f, JSON_TIME, "\"level\":\"warning\",\"event\":\"log_lost\",\"lines\":2,\"reason\":\"rate\"}",
        "\"level\":\"info\",\"event\":\"e\",\"n\":0}");
}

static void has_a_word_of_its_own(void **state)
{
    struct fixture *f = *state;
    log_limit_to(&f->log, 2, HOUR_MS, NULL);
    write_lines(&f->log, LOG_INFO, 5);
    EXPECT(f, TEXT_TIME, "info e n=0", "info e n=1");
    log_limit_to(&f->log, 0, 0, NULL);
    write_lines(&f->log, LOG_INFO, 1);
    EXPECT(f, TEXT_TIME, "warning log_lost lines=3 reason=rate", "info e n=0");
}

/* What the parent left out is the parent's to tell. */
static void a_child_owes_nothing(void **state)
{
    struct fixture *f = *state;
    write_lines(&f->log, LOG_INFO, 5);
    (void)read_back(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        log_forked(&f->log);
        log_fini(&f->log);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_equal(read_back(f), "");
    log_fini(&f->log);
    EXPECT(f, TEXT_TIME, "warning log_lost lines=2 reason=rate");
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_to_a_rate),
        cmocka_unit_test(off_is_no_limit),
        cmocka_unit_test(a_slower_limit_is_soon_forgotten),
        cmocka_unit_test(processes_share_it),
        LOG_TEST(leaves_out_and_tells),
        LOG_TEST(errors_always_pass),
        LOG_TEST(what_is_below_the_level_takes_nothing),
        LOG_TEST(tells_at_its_end),
        LOG_TEST(tells_in_json),
        LOG_TEST(has_a_word_of_its_own),
        LOG_TEST(a_child_owes_nothing),
    };
    return cmocka_run_group_tests_name("log_limit", tests, NULL, NULL);
}
