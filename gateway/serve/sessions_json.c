#include "serve/sessions_json.h"
#include "proto/utf8.h"
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_blanks(struct slice *s)
{
    while (s->len > 0 && (s->p[0] == ' ' || s->p[0] == '\t' || s->p[0] == '\r')) {
        *s = (struct slice){s->p + 1, s->len - 1};
    }
}

static bool take(struct slice *s, char c)
{
    skip_blanks(s);
    if (s->len == 0 || s->p[0] != c) {
        return false;
    }
    *s = (struct slice){s->p + 1, s->len - 1};
    return true;
}

/* How many bytes the escape at the front takes; 0: it is none (RFC 8259 7). */
static size_t escape_len(struct slice s)
{
    if (s.len < 2) {
        return 0;
    }
    if (s.p[1] != 'u') {
        return memchr("\"\\/bfnrt", s.p[1], 8) != NULL ? 2 : 0;
    }
    for (size_t i = 2; i < 6; i++) {
        if (i >= s.len || memchr("0123456789abcdefABCDEF", s.p[i], 22) == NULL) {
            return 0;
        }
    }
    return 6;
}

static bool take_string(struct slice *s, struct slice *inside)
{
    if (!take(s, '"')) {
        return false;
    }
    size_t at = 0;
    struct utf8 utf8 = {0};
    while (at < s->len && s->p[at] != '"') {
        size_t n = s->p[at] == '\\' ? escape_len((struct slice){s->p + at, s->len - at}) : 1;
        bool ascii = (unsigned char)s->p[at] < 0x80 && utf8_whole(&utf8);
        if (n == 0 || (unsigned char)s->p[at] < ' ' ||
            (!ascii && !utf8_feed(&utf8, (const uint8_t *)s->p + at, n))) {
            return false;
        }
        at += n;
    }
    if (at == s->len || !utf8_whole(&utf8)) {
        return false;
    }
    *inside = (struct slice){s->p, at};
    *s = (struct slice){s->p + at + 1, s->len - at - 1};
    return true;
}

static size_t digits_at(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && is_digit(s.p[at + n])) {
        n++;
    }
    return n;
}

/* RFC 8259 6, without exponents, which no counter has; or one of the three words. */
static bool take_number_or_word(struct slice *s, struct slice *value)
{
    static const struct slice words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    size_t len = 0;
    skip_blanks(s);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        len = slice_starts(*s, words[i]) ? words[i].len : len;
    }
    if (len == 0) {
        size_t sign = s->len > 0 && s->p[0] == '-';
        size_t whole = digits_at(*s, sign);
        if (whole == 0 || (whole > 1 && s->p[sign] == '0')) {
            return false;
        }
        len = sign + whole;
        if (len < s->len && s->p[len] == '.') {
            size_t fraction = digits_at(*s, len + 1);
            if (fraction == 0) {
                return false;
            }
            len += 1 + fraction;
        }
    }
    *value = (struct slice){s->p, len};
    *s = (struct slice){s->p + len, s->len - len};
    return true;
}

/* `"key": value` */
static bool take_member(struct slice *s, struct slice *key, struct slice *value)
{
    if (!take_string(s, key) || !take(s, ':')) {
        return false;
    }
    skip_blanks(s);
    return s->len > 0 && s->p[0] == '"' ? take_string(s, value) : take_number_or_word(s, value);
}

/* Whether it is a good line; `values` then are those of `keys`, empty where there is none. */
static bool walk(struct slice line, const char *const *keys, struct slice *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = SLICE("");
    }
    if (!take(&line, '{')) {
        return false;
    }
    do {
        struct slice name, value;
        if (!take_member(&line, &name, &value)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (values[i].len == 0 && slice_eq(name, slice_from(keys[i]))) {
                values[i] = value;
            }
        }
    } while (take(&line, ','));
    if (!take(&line, '}')) {
        return false;
    }
    skip_blanks(&line);
    return line.len == 0;
}

bool sessions_json_good(struct slice line)
{
    return walk(line, NULL, NULL, 0);
}

static bool next_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0) {
        return false;
    }
    size_t end = slice_find(*rest, '\n');
    *line = (struct slice){rest->p, end};
    size_t taken = end < rest->len ? end + 1 : end;
    *rest = (struct slice){rest->p + taken, rest->len - taken};
    return true;
}

void sessions_json_list(struct slice lines, bool *first, FILE *out)
{
    struct slice line;
    while (next_line(&lines, &line)) {
        if (sessions_json_good(line)) {
            (void)fputs(*first ? "" : ",\n", out);
            (void)fwrite(line.p, 1, line.len, out);
            *first = false;
        }
    }
}

static const char *const columns[] = {"id", "client", "route", "target", "state", "age_ms", "up_bytes",
    "down_bytes", "up_kept", "down_kept", "up_stalled_ms", "down_stalled_ms", "ping_ms", "client_rtt_us",
    "target_rtt_us", "worker", "host", "path", "origin"};

enum { COLUMNS = sizeof columns / sizeof columns[0] };

void sessions_json_table_head(FILE *out)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        (void)fprintf(out, "%s%s", i == 0 ? "" : "\t", columns[i]);
    }
    (void)fputc('\n', out);
}

/* Runs of what prints go out whole: lists are long. */
static void cell(struct slice value, FILE *out)
{
    size_t from = 0;
    if (value.len == 0) {
        (void)fputc('-', out);
    }
    for (size_t i = 0; i <= value.len; i++) {
        if (i == value.len || value.p[i] < ' ' || value.p[i] > '~') {
            (void)fwrite(value.p + from, 1, i - from, out);
            (void)fputs(i < value.len ? "?" : "", out);
            from = i + 1;
        }
    }
}

void sessions_json_table(struct slice lines, FILE *out)
{
    struct slice line;
    while (next_line(&lines, &line)) {
        struct slice values[COLUMNS];
        if (!walk(line, columns, values, COLUMNS)) {
            continue;
        }
        for (size_t i = 0; i < COLUMNS; i++) {
            (void)fputs(i == 0 ? "" : "\t", out);
            cell(values[i], out);
        }
        (void)fputc('\n', out);
    }
}

struct slice sessions_json_silent(struct slice answer)
{
    const struct slice name = SLICE("\"silent_workers\":["), end = SLICE("]}\n");
    if (!slice_ends_nocase(answer, end)) {
        return SLICE("");
    }
    answer.len -= end.len;
    struct slice pids = {answer.p + answer.len, 0};
    while (pids.p > answer.p && (is_digit(pids.p[-1]) || pids.p[-1] == ',' || pids.p[-1] == '-')) {
        pids = (struct slice){pids.p - 1, pids.len + 1};
    }
    answer.len -= pids.len;
    return slice_ends_nocase(answer, name) ? pids : SLICE("");
}
