/* Builds text in a caller's array: bounded, always NUL-terminated, and it remembers being cut. */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include "base/slice.h"

struct text {
    char *p;
    size_t len; /* without the NUL */
    size_t cap;
    bool cut; /* something did not fit and was left out */
};

void text_init(struct text *t, char *array, size_t cap);
void text_add(struct text *t, struct slice s);
void text_add_cstr(struct text *t, const char *cstr);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_u64(struct text *t, uint64_t value);
/* The last `digits` digits of it, with zeros in front. */
void text_add_digits(struct text *t, uint64_t value, unsigned digits);
/* As 16 digits. */
void text_add_hex64(struct text *t, uint64_t value);
struct slice text_slice(const struct text *t);

#endif
