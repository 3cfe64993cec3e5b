#include "base/log.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log_output.h"
#include <string.h>
#include <unistd.h>

enum {
    TAIL_BYTES = 2, /* '}' and the newline, for which there is always room */
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

/* RFC 5424 6.2.1. */
static const unsigned char severities[] = {
    [LOG_DEBUG] = 7,
    [LOG_INFO] = 6,
    [LOG_WARNING] = 4,
    [LOG_ERROR] = 3,
};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* ---- Escaping: a value's characters one after the other, each written whole or not at all. */

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
        char array[JSON_CHARACTER_MAX + 1];
        struct text character;
        text_init(&character, array, sizeof(array));
        size_t used = line->log->format == LOG_JSON ? json_escape_one(value, &character)
                                                    : escape_text(value, &character);
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
    text_add(&line->text, json ? SLICE(",\"") : SLICE(" "));
    text_add_cstr(&line->text, key);
    text_add(&line->text, json ? SLICE("\":") : SLICE("="));
    return true;
}

/* RFC 5424 6.2 and 6.3, without structured data. */
static void add_syslog_header(
    struct log_line *line, enum log_level level, const char *time, const char *event)
{
    const unsigned facility_daemon = 3;
    text_addf(&line->text, "<%u>1 %s %s sluice %ld %s -", facility_daemon * 8 + severities[level], time,
        line->log->host, (long)getpid(), event);
}

static void begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    line->log = log;
    char time[32];
    clock_rfc3339(clock_wall_ms(), time, sizeof(time));
    text_init(&line->text, line->array, sizeof(line->array) - TAIL_BYTES);
    bool headed = log->way == LOG_WAY_SYSLOG;
    if (headed) {
        add_syslog_header(line, level, time, event);
    }
    switch (log->format) {
    case LOG_TEXT:
        if (!headed) {
            text_add_cstr(&line->text, time);
            text_add(&line->text, SLICE(" "));
            text_add_cstr(&line->text, log_level_name(level));
            text_add(&line->text, SLICE(" "));
            text_add_cstr(&line->text, event);
        }
        break;
    case LOG_JSON:
        text_addf(&line->text, "%s{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", headed ? " " : "",
            time, log_level_name(level), event);
        break;
    }
}

static void count_lost(struct log *log, uint64_t *lines)
{
    (*lines)++;
    if (log->lost_total != NULL) {
        atomic_fetch_add_explicit(log->lost_total, 1, memory_order_relaxed);
    }
}

static bool within_rate(struct log *log, enum log_level level)
{
    const uint64_t ns_per_ms = 1000000;
    return level >= LOG_ERROR || log->limit.interval_ns == 0 ||
           log_limit_take(
               &log->limit, log->tat_ns ? log->tat_ns : &log->own_tat_ns, clock_now_ms() * ns_per_ms);
}

void log_limit_to(struct log *log, uint32_t count, uint32_t per_ms, _Atomic uint64_t *tat_ns)
{
    log->limit = log_limit_of(count, per_ms);
    log->tat_ns = tat_ns;
}

void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    line->log = NULL;
    if (level < log->level) {
        return;
    }
    if (!within_rate(log, level)) {
        count_lost(log, &log->left_out);
        return;
    }
    begin(line, log, level, event);
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

void log_release(struct log *log)
{
    struct slice all = {log->held, log->held_len};
    bool taken = log->held_len == 0 || log_output_write(log, all);
    for (; log->held_lines > 0; log->held_lines--) {
        if (!taken) {
            count_lost(log, &log->lost);
        }
    }
    log->held_len = 0;
    log->holding = false;
}

/* A datagram is one line; and where lines were lost, it is to be known of each whether it was taken. */
static bool may_hold(const struct log *log)
{
    return log->holding && log->way != LOG_WAY_SYSLOG && log->lost == 0;
}

static bool put(struct log *log, struct slice line)
{
    bool holding = log->holding;
    if (!may_hold(log) || log->held_len + line.len > sizeof log->held) {
        log_release(log);
        log->holding = holding;
    }
    if (!may_hold(log)) {
        return log_output_write(log, line);
    }
    memcpy(log->held + log->held_len, line.p, line.len);
    log->held_len += line.len;
    log->held_lines++;
    return true;
}

static bool end(struct log_line *line)
{
    struct text *text = &line->text;
    text->cap = sizeof(line->array);
    if (line->log->format == LOG_JSON) {
        text_add(text, SLICE("}"));
    }
    if (line->log->way != LOG_WAY_SYSLOG) {
        text_add(text, SLICE("\n"));
    }
    return put(line->log, text_slice(text));
}

void log_hold(struct log *log)
{
    log->holding = true;
}

/* True: there is nothing to tell any more. */
static bool tell(struct log *log, uint64_t *lines, const char *reason)
{
    if (*lines > 0) {
        struct log_line line;
        begin(&line, log, LOG_WARNING, "log_lost");
        log_u64(&line, "lines", *lines);
        log_cstr(&line, "reason", reason);
        if (end(&line)) {
            *lines = 0;
        }
    }
    return *lines == 0;
}

bool log_owes(const struct log *log)
{
    return log->lost > 0 || log->left_out > 0;
}

bool log_tell_lost(struct log *log)
{
    return tell(log, &log->lost, "output") && tell(log, &log->left_out, "rate");
}

void log_end(struct log_line *line)
{
    struct log *log = line->log;
    if (log != NULL && !(log_tell_lost(log) && end(line))) {
        count_lost(log, &log->lost);
    }
}
