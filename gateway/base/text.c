#include "base/text.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *array, size_t cap)
{
    assert(cap > 0);
    *t = (struct text){.p = array, .cap = cap};
    array[0] = '\0';
}

void text_add(struct text *t, struct slice s)
{
    size_t room = t->cap - t->len - 1;
    if (s.len > room) {
        s.len = room;
        t->cut = true;
    }
    if (s.len > 0) {
        memcpy(t->p + t->len, s.p, s.len);
    }
    t->len += s.len;
    t->p[t->len] = '\0';
}

void text_add_cstr(struct text *t, const char *cstr)
{
    text_add(t, slice_from(cstr));
}

void text_addf(struct text *t, const char *format, ...)
{
    size_t room = t->cap - t->len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->p + t->len, room, format, args);
    va_end(args);
    if (n < 0) {
        t->p[t->len] = '\0';
        t->cut = true;
    } else if ((size_t)n >= room) {
        t->len = t->cap - 1;
        t->cut = true;
    } else {
        t->len += (size_t)n;
    }
}

struct slice text_slice(const struct text *t)
{
    return (struct slice){t->p, t->len};
}

void text_add_u64(struct text *t, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    text_add(t, (struct slice){digits + at, sizeof digits - at});
}

void text_add_digits(struct text *t, uint64_t value, unsigned digits)
{
    char array[20];
    assert(digits <= sizeof array);
    for (size_t i = digits; i-- > 0; value /= 10) {
        array[i] = (char)('0' + value % 10);
    }
    text_add(t, (struct slice){array, digits});
}

void text_add_hex64(struct text *t, uint64_t value)
{
    char digits[16];
    for (size_t i = sizeof digits; i-- > 0; value >>= 4) {
        digits[i] = "0123456789abcdef"[value & 0xF];
    }
    text_add(t, (struct slice){digits, sizeof digits});
}
