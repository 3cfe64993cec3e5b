#include "base/slice.h"
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

struct slice slice_from(const char *cstr)
{
    return (struct slice){cstr, strlen(cstr)};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq((struct slice){s.p, prefix.len}, prefix);
}

bool slice_ends_nocase(struct slice s, struct slice suffix)
{
    if (s.len < suffix.len) {
        return false;
    }
    return suffix.len == 0 || slice_eq_nocase((struct slice){s.p + (s.len - suffix.len), suffix.len}, suffix);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_space(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.p[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool slice_next(struct slice *rest, char separator, struct slice *element)
{
    if (rest->len == 0) {
        return false;
    }
    size_t at = slice_find(*rest, separator);
    *element = slice_trim((struct slice){rest->p, at});
    size_t used = at < rest->len ? at + 1 : at;
    rest->p += used;
    rest->len -= used;
    return true;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (digit > max || sum > (max - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

size_t slice_find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.p, c, s.len) : NULL;
    return at ? (size_t)(at - s.p) : s.len;
}
