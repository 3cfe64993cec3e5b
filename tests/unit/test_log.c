/* base/log: lines as they come out of a file, and the hiding of secrets. */
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct log log;
    char folder[32];
    char path[48];
    char got[8 * LOG_LINE_MAX];
    size_t len;
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
    f->len = fread(f->got, 1, sizeof(f->got) - 1, file);
    f->got[f->len] = '\0';
    fclose(file);
    assert_int_equal(truncate(f->path, 0), 0);
    return f->got;
}

/* What stands behind `time level event ` or behind `"event":"e",` of the one line that `value` makes. */
static const char *field_of(struct fixture *f, enum log_format format, const char *value, size_t len)
{
    struct log_line line;
    f->log.format = format;
    log_begin(&line, &f->log, LOG_INFO, "e");
    log_str(&line, "k", (struct slice){value, len});
    log_end(&line);
    const char *got = read_back(f);
    assert_true(f->len > 0);
    assert_int_equal(got[f->len - 1], '\n');
    assert_int_equal(strlen(got), f->len);
    assert_ptr_equal(strchr(got, '\n'), got + f->len - 1);
    f->got[f->len - 1] = '\0';
    const char *mark = format == LOG_JSON ? "\"k\":" : " k=";
    const char *field = strstr(got, mark);
    assert_non_null(field);
    return field + strlen(mark);
}

static void writes_text(void **state)
{
    struct fixture *f = *state;
    struct log_line line;
    log_begin(&line, &f->log, LOG_WARNING, "session_end");
    log_u64(&line, "id", UINT64_MAX);
    log_cstr(&line, "client", "10.0.0.1:5000");
    log_cstr(&line, "cause", "client_close");
    log_u64(&line, "up_bytes", 0);
    log_end(&line);
    const char *got = read_back(f);
    assert_true(f->len > 25);
    assert_int_equal(got[4], '-');
    assert_int_equal(got[10], 'T');
    assert_int_equal(got[19], '.');
    assert_int_equal(got[23], 'Z');
    assert_string_equal(got + 24, " warning session_end id=18446744073709551615 client=10.0.0.1:5000 "
                                  "cause=client_close up_bytes=0\n");
}

static void writes_json(void **state)
{
    struct fixture *f = *state;
    struct log_line line;
    f->log.format = LOG_JSON;
    log_begin(&line, &f->log, LOG_ERROR, "session_end");
    log_u64(&line, "id", 7);
    log_cstr(&line, "client", "[::1]:5000");
    log_end(&line);
    const char *got = read_back(f);
    assert_memory_equal(got, "{\"time\":\"2", 10);
    assert_string_equal(
        got + 33, "\",\"level\":\"error\",\"event\":\"session_end\",\"id\":7,\"client\":\"[::1]:5000\"}\n");
}

static void keeps_to_its_level(void **state)
{
    struct fixture *f = *state;
    struct log_line line;
    log_begin(&line, &f->log, LOG_DEBUG, "quiet");
    log_cstr(&line, "k", "v");
    log_u64(&line, "n", 1);
    log_end(&line);
    assert_string_equal(read_back(f), "");
    f->log.level = LOG_DEBUG;
    log_begin(&line, &f->log, LOG_DEBUG, "loud");
    log_end(&line);
    assert_non_null(strstr(read_back(f), " debug loud\n"));
}

static void escapes_text(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct slice value;
        const char *field;
    } cases[] = {
        {{"plain/value:1", 13}, "plain/value:1"},
        {{"", 0}, "\"\""},
        {{"a b", 3}, "\"a b\""},
        {{"a=b", 3}, "\"a=b\""},
        {{"a\"b", 3}, "\"a\\\"b\""},
        {{"a\\b", 3}, "\"a\\\\b\""},
        {{"a\nb cause=internal", 18}, "\"a\\nb cause=internal\""},
        {{"a\rb", 3}, "\"a\\x0db\""},
        {{"\x1b[2J", 4}, "\"\\x1b[2J\""},
        {{"\0", 1}, "\"\\x00\""},
        {{"\x7f", 1}, "\"\\x7f\""},
        {{"\xc3\xa9", 2}, "\"\\xc3\\xa9\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(field_of(f, LOG_TEXT, cases[i].value.p, cases[i].value.len), cases[i].field);
}

static void escapes_json(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct slice value;
        const char *field;
    } cases[] = {
        {{"plain", 5}, "\"plain\"}"},
        {{"", 0}, "\"\"}"},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\"}"},
        {{"a\nb", 3}, "\"a\\nb\"}"},
        {{"\0\x1b\x7f", 3}, "\"\\u0000\\u001b\\u007f\"}"},
        {{"\xc3\xa9", 2}, "\"\\u00e9\"}"},
        {{"\xe2\x82\xac", 3}, "\"\\u20ac\"}"},
        {{"\xf0\x9f\x98\x80", 4}, "\"\\ud83d\\ude00\"}"},
        {{"\xf4\x8f\xbf\xbf", 4}, "\"\\udbff\\udfff\"}"},
        {{"\xff", 1}, "\"\\u00ff\"}"},
        {{"\xc3", 1}, "\"\\u00c3\"}"},
        {{"\xc3z", 2}, "\"\\u00c3z\"}"},
        {{"\xc0\x80", 2}, "\"\\u00c0\\u0080\"}"},
        {{"\xe0\x80\x80", 3}, "\"\\u00e0\\u0080\\u0080\"}"},
        {{"\xed\xa0\x80", 3}, "\"\\u00ed\\u00a0\\u0080\"}"},
        {{"\xf4\x90\x80\x80", 4}, "\"\\u00f4\\u0090\\u0080\\u0080\"}"},
        {{"\xe2\x82", 2}, "\"\\u00e2\\u0082\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(field_of(f, LOG_JSON, cases[i].value.p, cases[i].value.len), cases[i].field);
}

/* RFC 8259 7, over text that must be ASCII; answers what stands behind the string. */
static const char *skip_json_string(const char *s)
{
    assert_int_equal(*s++, '"');
    for (; *s != '"'; s++) {
        assert_true(*s >= 0x20 && *s < 0x7f);
        if (*s != '\\')
            continue;
        s++;
        assert_non_null(strchr("\"\\nu", *s));
        if (*s == 'u') {
            assert_true(strspn(s + 1, "0123456789abcdef") >= 4);
            s += 4;
        }
    }
    return s + 1;
}

static void takes_any_bytes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 1;
    for (unsigned turn = 0; turn < 300; turn++) {
        char bytes[400];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random = random * 1664525u + 1013904223u;
            /* Mostly bytes that take part in UTF-8. */
            bytes[i] = (char)(random >> 30 ? (random >> 16 | 0x80) : random >> 16);
        }
        assert_string_equal(skip_json_string(field_of(f, LOG_JSON, bytes, turn + 1)), "}");
        const char *field = field_of(f, LOG_TEXT, bytes, turn + 1);
        for (const char *c = field; *c; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
    }
}

static void cuts_a_long_value(void **state)
{
    struct fixture *f = *state;
    static char value[3 * LOG_VALUE_MAX];
    char want[LOG_VALUE_MAX + 1];
    memset(value, 'a', sizeof(value));
    memset(want, 'a', LOG_VALUE_MAX);
    want[LOG_VALUE_MAX] = '\0';
    assert_string_equal(field_of(f, LOG_TEXT, value, LOG_VALUE_MAX), want);
    memcpy(want + LOG_VALUE_MAX - 3, "...", 3);
    assert_string_equal(field_of(f, LOG_TEXT, value, LOG_VALUE_MAX + 1), want);

    /* An escape is never cut in two, wherever the bound falls. */
    memset(value, 0x01, sizeof(value));
    for (size_t lead = 0; lead < 12; lead++) {
        value[lead] = 'a';
        assert_string_equal(skip_json_string(field_of(f, LOG_JSON, value, sizeof(value))), "}");
        const char *field = field_of(f, LOG_TEXT, value, sizeof(value));
        assert_string_equal(field + strlen(field) - 8, "\\x01...\"");
    }
}

static void cuts_a_long_line(void **state)
{
    struct fixture *f = *state;
    static char value[LOG_LINE_MAX];
    memset(value, '\x01', sizeof(value));
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        /* Whatever came before, the end has its place: each length of the field before the long ones. */
        for (size_t lead = 0; lead < 40; lead++) {
            struct log_line line;
            f->log.format = (enum log_format)format;
            log_begin(&line, &f->log, LOG_INFO, "session_end");
            log_str(&line, "lead", (struct slice){value, lead});
            for (unsigned i = 0; i < 6; i++)
                log_str(&line, "k", (struct slice){value, sizeof(value)});
            log_u64(&line, "code", 1000);
            log_end(&line);
            const char *got = read_back(f);
            assert_true(f->len < LOG_LINE_MAX && f->len > LOG_LINE_MAX - 64);
            assert_ptr_equal(strchr(got, '\n'), got + f->len - 1);
            if (format == LOG_JSON) {
                assert_memory_equal(got + f->len - 3, "\"}\n", 3);
                for (const char *field = strstr(got, ",\"k\":"); field; field = strstr(field, ",\"k\":")) {
                    field = skip_json_string(field + 5);
                    assert_non_null(strchr(",}", *field));
                }
            } else {
                assert_int_equal(got[f->len - 2], '"');
            }
        }
    }
}

static void appends_to_its_file(void **state)
{
    struct fixture *f = *state;
    struct log_line line;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    log_begin(&line, &f->log, LOG_INFO, "one");
    log_end(&line);
    assert_int_equal(log_open_file(&f->log, f->path), 0);
    log_begin(&line, &f->log, LOG_INFO, "two");
    log_end(&line);
    const char *got = read_back(f);
    assert_non_null(strstr(got, "info one\n"));
    assert_non_null(strstr(got, "info two\n"));
    assert_int_equal(log_open_file(&f->log, f->folder), EISDIR);
    log_begin(&line, &f->log, LOG_INFO, "three"); /* one that failed leaves what there was */
    log_end(&line);
    assert_non_null(strstr(read_back(f), "info three\n"));
}

/* ---- A reader that does not read. */

enum { STALLED_LINES = 4000, PAD_BYTES = 200, PATIENCE_S = 20 };

struct stalled {
    int reader, writer; /* `writer` is standard error meanwhile */
    int saved;
    char *got; /* what was read, and its end */
    size_t len;
};

static const size_t got_cap = (size_t)2 * STALLED_LINES * (PAD_BYTES + 80);

static void make_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
}

static void make_socket(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

static void make_terminal(int ends[2])
{
    struct termios raw;
    memset(&raw, 0, sizeof(raw));
    cfmakeraw(&raw);
    assert_int_equal(openpty(&ends[0], &ends[1], NULL, &raw, NULL), 0);
}

/* At log_init nobody reads it, and so it cannot be opened a second time without waiting. */
static void make_late_fifo(int ends[2])
{
    char folder[] = "/tmp/sluice-log-XXXXXX", path[32];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int first = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(first >= 0);
    ends[1] = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(ends[1] >= 0);
    close(first);
    ends[0] = -1;
    unlink(path);
    rmdir(folder);
}

static void stall(struct stalled *s, void (*make)(int[2]), struct log *log)
{
    int ends[2];
    make(ends);
    *s = (struct stalled){.reader = ends[0], .writer = ends[1], .saved = dup(STDERR_FILENO)};
    s->got = calloc(1, got_cap);
    assert_non_null(s->got);
    assert_true(s->saved >= 0);
    dup2(s->writer, STDERR_FILENO);
    (void)alarm(PATIENCE_S); /* it waits: the test ends by it */
    log_init(log, LOG_INFO, LOG_TEXT);
    if (s->reader < 0) {
        s->reader = open("/proc/self/fd/2", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(s->reader >= 0);
    }
}

static void end_stalled(struct stalled *s)
{
    (void)alarm(0);
    dup2(s->saved, STDERR_FILENO);
    close(s->saved);
    close(s->reader);
    close(s->writer);
    free(s->got);
}

static void read_stalled(struct stalled *s)
{
    int flags = fcntl(s->reader, F_GETFL);
    assert_int_equal(fcntl(s->reader, F_SETFL, flags | O_NONBLOCK), 0);
    ssize_t n;
    while ((n = read(s->reader, s->got + s->len, got_cap - s->len - 1)) > 0) {
        s->len += (size_t)n;
    }
    s->got[s->len] = '\0';
}

/* Its length differs, so that any place of it meets the end of the room. */
static void write_numbered(struct log *log, unsigned number)
{
    char pad[PAD_BYTES];
    memset(pad, 'z', sizeof(pad));
    struct log_line line;
    log_begin(&line, log, LOG_ERROR, "e");
    log_u64(&line, "n", number);
    log_str(&line, "pad", (struct slice){pad, PAD_BYTES - number * 7 % 50});
    log_end(&line);
}

/* Each number is a line of its own or is counted by the log_lost in its place. Answers how many were lost. */
static unsigned expect_numbered(struct stalled *s, unsigned count)
{
    unsigned next = 0, lost = 0;
    char *end = s->got;
    for (char *line = s->got; *line != '\0'; line = end + 1) {
        unsigned number;
        int used = 0;
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_true(end - line > 25 && line[23] == 'Z');
        if (sscanf(line + 24, " warning log_lost lines=%u reason=output%n", &number, &used) == 1) {
            assert_int_not_equal(used, 0);
            assert_int_equal(line[24 + used], '\0');
            assert_int_not_equal(number, 0);
            lost += number;
            next += number;
            continue;
        }
        assert_int_equal(sscanf(line + 24, " error e n=%u pad=%n", &number, &used), 1);
        assert_int_equal(number, next);
        assert_int_equal(strspn(line + 24 + used, "z"), PAD_BYTES - number * 7 % 50);
        assert_int_equal(strlen(line + 24 + used), PAD_BYTES - number * 7 % 50);
        next++;
    }
    assert_int_equal(next, count);
    return lost;
}

static void expect_no_waiting(void (*make)(int[2]))
{
    struct stalled s;
    struct log log;
    stall(&s, make, &log);
    log.level = LOG_ERROR; /* lost lines are told at every level */
    unsigned number = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < STALLED_LINES / 3; i++) {
            write_numbered(&log, number++);
        }
        read_stalled(&s);
    }
    write_numbered(&log, number++);
    read_stalled(&s);
    assert_false(fcntl(s.writer, F_GETFL) & O_NONBLOCK); /* it is not ours alone */
    assert_in_range(expect_numbered(&s, number), 1, STALLED_LINES - 1);
    log_fini(&log);
    end_stalled(&s);
}

static void waits_for_no_pipe(void **state)
{
    (void)state;
    expect_no_waiting(make_pipe);
}

static void waits_for_no_socket(void **state)
{
    (void)state;
    expect_no_waiting(make_socket);
}

static void waits_for_no_terminal(void **state)
{
    (void)state;
    expect_no_waiting(make_terminal);
}

static void waits_for_nothing_where_it_must_ask(void **state)
{
    (void)state;
    expect_no_waiting(make_late_fifo);
}

static void tells_of_lost_lines_at_its_end(void **state)
{
    (void)state;
    struct stalled s;
    struct log log;
    stall(&s, make_pipe, &log);
    for (unsigned i = 0; i < STALLED_LINES; i++) {
        write_numbered(&log, i);
    }
    read_stalled(&s);
    log_fini(&log);
    read_stalled(&s);
    assert_int_not_equal(expect_numbered(&s, STALLED_LINES), 0);
    end_stalled(&s);
}

/* A file may be a FIFO as well. */
static void opens_no_fifo_that_nobody_reads(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    (void)alarm(PATIENCE_S);
    assert_int_equal(log_open_file(&f->log, f->path), ENXIO);
    (void)alarm(0);
}

static void hides_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"", ""},
        {"/", "/"},
        {"/vnc", "/vnc"},
        {"/vnc?", "/vnc?"},
        {"/vnc?a=b&c", "/vnc?a=b&c"},
        {"/vnc?token=abc", "/vnc?token=***"},
        {"/vnc?TOKEN=abc&a=b", "/vnc?TOKEN=***&a=b"},
        {"/vnc?a=b&access_token=abc", "/vnc?a=b&access_token=***"},
        {"/vnc?apiKey=1&password2=x&ticket=", "/vnc?apiKey=***&password2=***&ticket=***"},
        {"/vnc?tok%65n=abc", "/vnc?tok%65n=***"},
        {"/vnc?%74%4f%6B%45%6e=abc", "/vnc?%74%4f%6B%45%6e=***"},
        {"/vnc?to%6ken=abc", "/vnc?to%6ken=abc"}, /* no escape, and so no token */
        {"/vnc?token=a=b=c", "/vnc?token=***"},
        {"/vnc?token", "/vnc?token"},
        {"/vnc?key%3Dabc", "/vnc?***"},
        {"/vnc?a=token", "/vnc?a=token"},
        {"/vnc?a=b;token=abc;c=d", "/vnc?a=b;token=***;c=d"},
        {"/vnc.html?path=ws?token=abc", "/vnc.html?path=ws?token=***"},
        {"/vnc.html?path=ws%3Ftoken%3Dabc&x=y", "/vnc.html?path=***&x=y"},
        {"/token=1/x", "/token=1/x"},
        {"/x?&&token=1&", "/x?&&token=***&"},
        {"?key=1", "?key=***"},
        {"/x?tok%", "/x?tok%"},
        {"/x?tok%6", "/x?tok%6"},
        {"/x?passwd=abc&client_secret=abc&pwd=abc", "/x?passwd=***&client_secret=***&pwd=***"},
        {"/x?auth=abc&sessionId=abc&sig=abc&jwt=abc", "/x?auth=***&sessionId=***&sig=***&jwt=***"},
        {"/x?design=abc&X-Amz-Signature=abc", "/x?design=abc&X-Amz-Signature=***"},
        {"/x?credential=abc&passphrase=abc", "/x?credential=***&passphrase=***"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[128];
        struct slice shown = log_hide_secrets(slice_from(cases[i].given), out, sizeof(out));
        assert_true(shown.len < sizeof(out));
        assert_string_equal(out, cases[i].shown);
    }
    char none[8];
    assert_int_equal(log_hide_secrets((struct slice){0}, none, sizeof(none)).len, 0);
    for (size_t cap = 1; cap < 30; cap++) {
        char out[30];
        struct slice shown = log_hide_secrets(SLICE("/x?token=secret&b=c"), out, cap);
        assert_true(shown.len < cap);
        assert_null(strstr(out, "se"));
    }
}

/* The lines of a turn go out together, in order, and none waits for another turn. */
static void holds_the_lines_of_a_turn(void **state)
{
    struct fixture *f = *state;
    log_hold(&f->log);
    write_numbered(&f->log, 1);
    write_numbered(&f->log, 2);
    assert_string_equal("", read_back(f));
    log_release(&f->log);
    const char *got = read_back(f);
    assert_true(strstr(got, "n=1 ") != NULL && strstr(got, "n=1 ") < strstr(got, "n=2 "));
    write_numbered(&f->log, 3);
    assert_string_not_equal("", read_back(f));
    log_hold(&f->log); /* more than there is room for */
    for (unsigned i = 0; i < 2 * LOG_LINE_MAX / 32; i++) {
        write_numbered(&f->log, i);
    }
    assert_true(strlen(read_back(f)) > LOG_LINE_MAX / 2);
    log_fini(&f->log);
    assert_string_not_equal("", read_back(f));
    log_init(&f->log, LOG_INFO, LOG_TEXT);
}

/* Held lines for which there is no room are counted one by one, and told of in their place. */
static void counts_the_held_lines_that_are_lost(void **state)
{
    (void)state;
    struct stalled s;
    struct log log;
    stall(&s, make_pipe, &log);
    for (unsigned i = 0; i < STALLED_LINES; i++) {
        if (i % 7 == 0) {
            log_release(&log);
            log_hold(&log);
        }
        write_numbered(&log, i);
    }
    log_release(&log);
    read_stalled(&s);
    log_fini(&log);
    read_stalled(&s);
    assert_int_not_equal(expect_numbered(&s, STALLED_LINES), 0);
    end_stalled(&s);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(writes_text),
        LOG_TEST(writes_json),
        LOG_TEST(keeps_to_its_level),
        LOG_TEST(escapes_text),
        LOG_TEST(escapes_json),
        LOG_TEST(takes_any_bytes),
        LOG_TEST(cuts_a_long_value),
        LOG_TEST(cuts_a_long_line),
        LOG_TEST(appends_to_its_file),
        cmocka_unit_test(waits_for_no_pipe),
        cmocka_unit_test(waits_for_no_socket),
        cmocka_unit_test(waits_for_no_terminal),
        cmocka_unit_test(waits_for_nothing_where_it_must_ask),
        cmocka_unit_test(tells_of_lost_lines_at_its_end),
        LOG_TEST(holds_the_lines_of_a_turn),
        cmocka_unit_test(counts_the_held_lines_that_are_lost),
        LOG_TEST(opens_no_fifo_that_nobody_reads),
        cmocka_unit_test(hides_secrets),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
