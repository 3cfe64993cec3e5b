/* base/log_output: files that change under the log, and a syslog daemon that comes and goes. */
#include "base/log.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct log log;
    char folder[32];
    char path[48]; /* of the daemon's socket */
    char file[48];
    char other[48];
    int daemon; /* -1: none */
    char got[2 * LOG_LINE_MAX];
    _Atomic uint64_t total;
};

static void start_daemon(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, f->path);
    f->daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(f->daemon >= 0);
    assert_int_equal(bind(f->daemon, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void stop_daemon(struct fixture *f, bool leave_name)
{
    close(f->daemon);
    f->daemon = -1;
    if (!leave_name) {
        unlink(f->path);
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/sluice-log-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/dev-log", f->folder);
    snprintf(f->file, sizeof(f->file), "%s/file", f->folder);
    snprintf(f->other, sizeof(f->other), "%s/other", f->folder);
    f->daemon = -1;
    log_init(&f->log, LOG_DEBUG, LOG_TEXT);
    f->log.lost_total = &f->total;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_fini(&f->log);
    if (f->daemon >= 0) {
        close(f->daemon);
    }
    unlink(f->path);
    unlink(f->file);
    unlink(f->other);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static void write_line(struct log *log, enum log_level level, unsigned n)
{
    struct log_line line;
    log_begin(&line, log, level, "session_end");
    log_u64(&line, "n", n);
    log_cstr(&line, "client", "a b\n");
    log_end(&line);
}

/* The next datagram, "" for none. */
static const char *receive(struct fixture *f)
{
    ssize_t n = recv(f->daemon, f->got, sizeof(f->got) - 1, 0);
    f->got[n < 0 ? 0 : n] = '\0';
    return f->got;
}

/* `<PRI>1 TIME HOST sluice PID` and what stands behind it. */
static void expect_message(struct fixture *f, unsigned priority, const char *rest)
{
    char want[64], *end;
    char host[LOG_HOST_MAX] = "";
    const char *at = receive(f);
    snprintf(want, sizeof(want), "<%u>1 ", priority);
    assert_memory_equal(at, want, strlen(want));
    at += strlen(want);
    assert_int_equal(at[10], 'T');
    assert_memory_equal(at + 23, "Z ", 2);
    at += 25;
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    assert_memory_equal(at, host, strlen(host));
    at += strlen(host);
    assert_memory_equal(at, " sluice ", 8);
    assert_int_equal(strtol(at + 8, &end, 10), getpid());
    assert_string_equal(end, rest);
}

static void sends_to_syslog(void **state)
{
    struct fixture *f = *state;
    start_daemon(f);
    assert_int_equal(log_syslog_answers(f->path), 0);
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    static const struct {
        enum log_level level;
        unsigned priority;
    } cases[] = {{LOG_DEBUG, 31}, {LOG_INFO, 30}, {LOG_WARNING, 28}, {LOG_ERROR, 27}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_line(&f->log, cases[i].level, 7);
        expect_message(f, cases[i].priority, " session_end - n=7 client=\"a b\\n\"");
    }
    struct log_line line;
    log_begin(&line, &f->log, LOG_INFO, "bare");
    log_end(&line);
    expect_message(f, 30, " bare -");
    assert_string_equal(receive(f), "");
}

static void sends_json_to_syslog(void **state)
{
    struct fixture *f = *state;
    start_daemon(f);
    f->log.format = LOG_JSON;
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    write_line(&f->log, LOG_INFO, 7);
    const char *message = strstr(receive(f), " session_end - {\"time\":\"2");
    assert_non_null(message);
    assert_string_equal(
        message + 48, "\",\"level\":\"info\",\"event\":\"session_end\",\"n\":7,\"client\":\"a b\\n\"}");
}

static void a_long_line_is_one_datagram(void **state)
{
    struct fixture *f = *state;
    start_daemon(f);
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    static char value[LOG_LINE_MAX];
    memset(value, '\x01', sizeof(value));
    struct log_line line;
    log_begin(&line, &f->log, LOG_INFO, "e");
    for (unsigned i = 0; i < 6; i++) {
        log_str(&line, "k", (struct slice){value, sizeof(value)});
    }
    log_end(&line);
    size_t len = strlen(receive(f));
    assert_in_range(len, LOG_LINE_MAX - 64, LOG_LINE_MAX);
    assert_int_equal(f->got[len - 1], '"');
    assert_string_equal(receive(f), "");
}

/* It is not there at first, goes with and without leaving its socket's name, and comes back. */
static void a_daemon_may_come_and_go(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_syslog_answers(f->path), ENOENT);
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    write_line(&f->log, LOG_INFO, 0);
    write_line(&f->log, LOG_INFO, 1);
    assert_int_equal(f->total, 2);
    for (unsigned round = 0; round < 2; round++) {
        start_daemon(f);
        write_line(&f->log, LOG_INFO, 2);
        expect_message(f, 28, " log_lost - lines=2 reason=output");
        expect_message(f, 30, " session_end - n=2 client=\"a b\\n\"");
        stop_daemon(f, round == 0);
        assert_int_equal(log_syslog_answers(f->path), round == 0 ? ECONNREFUSED : ENOENT);
        write_line(&f->log, LOG_INFO, 3);
        write_line(&f->log, LOG_INFO, 4);
        assert_int_equal(f->total, 4 + 2 * round);
        unlink(f->path);
    }
}

static void waits_for_no_daemon(void **state)
{
    struct fixture *f = *state;
    const unsigned lines = 5000, patience_s = 20;
    start_daemon(f);
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    (void)alarm(patience_s);
    for (unsigned i = 0; i < lines; i++) {
        write_line(&f->log, LOG_INFO, i);
    }
    (void)alarm(0);
    assert_in_range(f->total, 1, lines - 1);
    uint64_t lost = f->total;
    unsigned got = 0;
    while (receive(f)[0] != '\0') {
        got++;
    }
    assert_int_equal(got + lost, lines);
    log_fini(&f->log); /* tells of them */
    char want[64];
    snprintf(want, sizeof(want), " log_lost - lines=%llu reason=output", (unsigned long long)lost);
    expect_message(f, 28, want);
}

static void a_name_that_is_too_long(void **state)
{
    struct fixture *f = *state;
    char path[200];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(log_open_syslog(&f->log, path), ENAMETOOLONG);
    assert_int_equal(log_syslog_answers(path), ENAMETOOLONG);
}

/* ---- Files. */

static const char *read_file(struct fixture *f, const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    f->got[fread(f->got, 1, sizeof(f->got) - 1, file)] = '\0';
    fclose(file);
    return f->got;
}

static void follows_a_rotation(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_open_file(&f->log, f->file), 0);
    write_line(&f->log, LOG_INFO, 1);
    assert_int_equal(rename(f->file, f->other), 0);
    write_line(&f->log, LOG_INFO, 2); /* into the file that has another name now */
    assert_int_equal(log_open_file(&f->log, f->file), 0);
    write_line(&f->log, LOG_INFO, 3);
    assert_non_null(strstr(read_file(f, f->other), "n=1 "));
    assert_non_null(strstr(f->got, "n=2 "));
    assert_null(strstr(f->got, "n=3 "));
    assert_non_null(strstr(read_file(f, f->file), "n=3 "));
    assert_null(strstr(f->got, "n=2 "));
}

/* As a worker is handed the file that the supervisor opened. */
static void adopts_a_descriptor(void **state)
{
    struct fixture *f = *state;
    int fd = log_file_fd(f->file);
    assert_true(fd >= 0);
    int copy = dup(fd);
    log_adopt_fd(&f->log, copy);
    write_line(&f->log, LOG_INFO, 1);
    int next = log_file_fd(f->other);
    log_adopt_fd(&f->log, next);
    assert_int_equal(write(copy, "x", 1), -1); /* it was the log's to close */
    write_line(&f->log, LOG_INFO, 2);
    assert_non_null(strstr(read_file(f, f->file), "n=1 "));
    assert_non_null(strstr(read_file(f, f->other), "n=2 "));
    close(fd);
    assert_int_equal(log_file_fd(f->folder), -1);
    assert_int_equal(errno, EISDIR);
}

static void goes_from_syslog_to_a_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_open_syslog(&f->log, f->path), 0);
    write_line(&f->log, LOG_INFO, 1); /* nobody is there */
    assert_int_equal(log_open_file(&f->log, f->file), 0);
    write_line(&f->log, LOG_INFO, 2);
    const char *line = strstr(read_file(f, f->file), " warning log_lost lines=1 reason=output\n");
    assert_non_null(line);
    assert_non_null(strstr(line, " info session_end n=2 "));
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(sends_to_syslog),
        LOG_TEST(sends_json_to_syslog),
        LOG_TEST(a_long_line_is_one_datagram),
        LOG_TEST(a_daemon_may_come_and_go),
        LOG_TEST(waits_for_no_daemon),
        LOG_TEST(a_name_that_is_too_long),
        LOG_TEST(follows_a_rotation),
        LOG_TEST(adopts_a_descriptor),
        LOG_TEST(goes_from_syslog_to_a_file),
    };
    return cmocka_run_group_tests_name("log_output", tests, NULL, NULL);
}
