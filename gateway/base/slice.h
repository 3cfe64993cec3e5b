/* A slice is a borrowed run of bytes: it owns nothing, allocates nothing, and need not end in NUL. */
#ifndef SLUICE_BASE_SLICE_H
#define SLUICE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *p;
    size_t len;
};

/* A slice of a string literal, usable in constant initialisers. */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).p

struct slice slice_from(const char *cstr);

bool slice_eq(struct slice a, struct slice b);

/* ASCII case is ignored, as for host names and header names (RFC 9110 5.1). */
bool slice_eq_nocase(struct slice a, struct slice b);

bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);

/* Without the spaces and tabs at both ends (OWS, RFC 9110 5.6.3). */
struct slice slice_trim(struct slice s);

/* Cuts the next element off *rest at `separator` and answers it trimmed; false when *rest is used up.
 * "a, b" yields "a", "b"; empty elements are answered as empty slices, but behind a final separator is none.
 */
bool slice_next(struct slice *rest, char separator, struct slice *element);

/* A decimal number of digits alone; false when empty, not digits, or above `max`. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *value);

/* The offset of the first `c`, or s.len. */
size_t slice_find(struct slice s, char c);

#endif
