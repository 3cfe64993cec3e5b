#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* So that a pipe takes a line whole or not at all. */
_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is written atomically");

enum {
    TAIL_BYTES = 2,     /* '}' and the newline, for which there is always room */
    CHARACTER_MAX = 12, /* the longest escaped character: a surrogate pair */
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* ---- The descriptor. */

/* O_NONBLOCK belongs to the open file description, and standard error's is shared with whoever started us; a
 * second opening of the same pipe or terminal has one of its own. */
static void find_way(struct log *log)
{
    struct stat st;
    log->way = LOG_WAY_WRITE;
    if (fstat(STDERR_FILENO, &st) != 0 || S_ISREG(st.st_mode)) {
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        log->way = LOG_WAY_SEND;
        return;
    }
    log->reopened_fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (log->reopened_fd >= 0) {
        log->fd = log->reopened_fd;
    } else {
        log->way = LOG_WAY_POLL; /* no /proc, no permission, or nobody reads it at the moment */
    }
}

void log_init(struct log *log, enum log_level level, enum log_format format)
{
    *log = (struct log){.fd = STDERR_FILENO, .level = level, .format = format, .reopened_fd = -1};
    find_way(log);
}

int log_open_file(struct log *log, const char *path)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, flags, 0640);
    if (fd < 0) {
        return errno;
    }
    log_fini(log);
    log->fd = fd;
    log->owns_fd = true;
    return 0;
}

static bool tell_lost(struct log *log);

void log_fini(struct log *log)
{
    (void)tell_lost(log); /* else the count stays, for the next file */
    if (log->owns_fd) {
        close(log->fd);
    }
    if (log->reopened_fd >= 0) {
        close(log->reopened_fd);
    }
    log->fd = STDERR_FILENO;
    log->owns_fd = false;
    log->way = LOG_WAY_POLL;
    log->reopened_fd = -1;
    log->rest_len = 0;
}

/* write(2), but with EAGAIN where that would wait. */
static ssize_t write_now(const struct log *log, const char *p, size_t len)
{
    switch (log->owns_fd ? LOG_WAY_WRITE : log->way) {
    case LOG_WAY_SEND:
        return send(log->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case LOG_WAY_POLL: {
        /* Room for a page, unless another process takes it in between. */
        struct pollfd one = {.fd = log->fd, .events = POLLOUT};
        if (poll(&one, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
        break;
    }
    case LOG_WAY_WRITE:
        break;
    }
    return write(log->fd, p, len);
}

/* Answers how many bytes were taken. */
static size_t write_bytes(const struct log *log, const char *p, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write_now(log, p + done, len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return done;
}

/* False: nothing of it was written. What is left of a line that was begun comes first. */
static bool write_line(struct log *log, struct slice line)
{
    if (log->rest_len > 0) {
        size_t done = write_bytes(log, log->rest, log->rest_len);
        log->rest_len -= done;
        memmove(log->rest, log->rest + done, log->rest_len);
        if (log->rest_len > 0) {
            return false;
        }
    }
    size_t done = write_bytes(log, line.p, line.len);
    if (done == 0) {
        return false;
    }
    log->rest_len = line.len - done;
    memcpy(log->rest, line.p + done, log->rest_len);
    return true;
}

/* ---- Escaping: a value's characters one after the other, each written whole or not at all. */

/* The UTF-8 character at the head of `s` (RFC 3629), or its first byte where that starts none. */
static uint32_t next_code_point(struct slice s, size_t *len)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)s.p;
    *len = 1;
    if (b[0] < 0xc2 || b[0] > 0xf4) {
        return b[0];
    }
    size_t more = b[0] < 0xe0 ? 1 : b[0] < 0xf0 ? 2 : 3;
    if (s.len <= more) {
        return b[0];
    }
    uint32_t code = b[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return b[0];
        }
        code = code << 6 | (b[i] & 0x3fu);
    }
    if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return b[0];
    }
    *len = more + 1;
    return code;
}

/* A JSON line is ASCII, so that nothing in it steers a terminal or is taken for the end of a line.
 * Answers how many bytes of `s` went into `out`. */
static size_t escape_json(struct slice s, struct text *out)
{
    size_t len;
    uint32_t code = next_code_point(s, &len);
    if (code == '"' || code == '\\') {
        text_addf(out, "\\%c", (int)code);
    } else if (code == '\n') {
        text_addf(out, "\\n");
    } else if (code >= 0x20 && code < 0x7f) {
        text_addf(out, "%c", (int)code);
    } else if (code < 0x10000) {
        text_addf(out, "\\u%04x", (unsigned)code);
    } else {
        text_addf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
            (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
    }
    return len;
}

static size_t escape_text(struct slice s, struct text *out)
{
    unsigned byte = (uint8_t)s.p[0];
    if (byte == '"' || byte == '\\') {
        text_addf(out, "\\%c", (int)byte);
    } else if (byte == '\n') {
        text_addf(out, "\\n");
    } else if (byte >= 0x20 && byte < 0x7f) {
        text_addf(out, "%c", (int)byte);
    } else {
        text_addf(out, "\\x%02x", byte);
    }
    return 1;
}

static bool needs_quotes(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return true;
        }
    }
    return value.len == 0;
}

/* ---- Lines. */

static size_t room(const struct log_line *line)
{
    return line->text.cap - line->text.len - 1;
}

/* How many bytes at the front stand for themselves in both forms: what nearly every value is made of. */
static size_t plain_run(struct slice value)
{
    size_t n = 0;
    while (
        n < value.len && value.p[n] >= ' ' && value.p[n] <= '~' && value.p[n] != '"' && value.p[n] != '\\') {
        n++;
    }
    return n;
}

/* `value` escaped, in at most `most` bytes; one that is longer ends in "...". */
static void add_escaped(struct log_line *line, struct slice value, size_t most)
{
    const struct slice dots = SLICE("...");
    struct text *text = &line->text;
    size_t start = text->len, fits = text->len; /* up to `fits` there is room for the dots */
    while (value.len > 0) {
        struct slice plain = {value.p, plain_run(value)};
        if (plain.len > 0 && text->len - start + plain.len + dots.len <= most) {
            text_add(text, plain);
            fits = text->len;
            value = (struct slice){value.p + plain.len, value.len - plain.len};
            continue;
        }
        char array[CHARACTER_MAX + 1];
        struct text character;
        text_init(&character, array, sizeof(array));
        size_t used =
            line->log->format == LOG_JSON ? escape_json(value, &character) : escape_text(value, &character);
        if (text->len - start + character.len > most) {
            text->len = fits;
            text_add(text, dots);
            return;
        }
        text_add(text, text_slice(&character));
        if (text->len - start + dots.len <= most) {
            fits = text->len;
        }
        value.p += used;
        value.len -= used;
    }
}

/* ` key=` or `,"key":`, if there is room for it and `more` bytes besides. */
static bool add_key(struct log_line *line, const char *key, size_t more)
{
    bool json = line->log->format == LOG_JSON;
    if (strlen(key) + (json ? 4 : 2) + more > room(line)) {
        line->text.cut = true;
        return false;
    }
    text_addf(&line->text, json ? ",\"%s\":" : " %s=", key);
    return true;
}

static void begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    line->log = log;
    char time[32];
    clock_rfc3339(clock_wall_ms(), time, sizeof(time));
    text_init(&line->text, line->array, sizeof(line->array) - TAIL_BYTES);
    text_addf(&line->text,
        log->format == LOG_JSON ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"" : "%s %s %s", time,
        log_level_name(level), event);
}

void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    line->log = NULL;
    if (level >= log->level) {
        begin(line, log, level, event);
    }
}

void log_str(struct log_line *line, const char *key, struct slice value)
{
    const struct slice quote = SLICE("\"");
    const size_t quotes_and_dots = 5;
    if (!line->log || !add_key(line, key, quotes_and_dots)) {
        return;
    }
    bool quoted = line->log->format == LOG_JSON || needs_quotes(value);
    size_t most = room(line) - 2;
    if (quoted) {
        text_add(&line->text, quote);
    }
    add_escaped(line, value, most < LOG_VALUE_MAX ? most : LOG_VALUE_MAX);
    if (quoted) {
        text_add(&line->text, quote);
    }
}

void log_cstr(struct log_line *line, const char *key, const char *value)
{
    log_str(line, key, slice_from(value));
}

void log_u64(struct log_line *line, const char *key, uint64_t value)
{
    const size_t digits = 20;
    if (line->log && add_key(line, key, digits)) {
        text_add_u64(&line->text, value);
    }
}

static bool end(struct log_line *line)
{
    struct text *text = &line->text;
    text->cap = sizeof(line->array);
    text_add(text, line->log->format == LOG_JSON ? SLICE("}\n") : SLICE("\n"));
    return write_line(line->log, text_slice(text));
}

/* True: there is nothing to tell any more. */
static bool tell_lost(struct log *log)
{
    if (log->lost > 0) {
        struct log_line line;
        begin(&line, log, LOG_WARNING, "log_lost");
        log_u64(&line, "lines", log->lost);
        if (end(&line)) {
            log->lost = 0;
        }
    }
    return log->lost == 0;
}

void log_end(struct log_line *line)
{
    struct log *log = line->log;
    if (log != NULL && !(tell_lost(log) && end(line))) {
        log->lost++;
    }
}
