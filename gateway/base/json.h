/* Strings of JSON (RFC 8259 7), in ASCII alone, so that nothing in them steers a terminal or is taken for the
 * end of a line. */
#ifndef SLUICE_BASE_JSON_H
#define SLUICE_BASE_JSON_H

#include "base/text.h"

enum { JSON_CHARACTER_MAX = 12 }; /* the longest escaped character: a surrogate pair */

/* The first character of `s`, which is not empty, escaped; a byte that begins no UTF-8 character stands for
 * the Latin-1 one. Answers how many bytes of `s` went into `out`. */
size_t json_escape_one(struct slice s, struct text *out);

/* `"value"`; one of more than `most_bytes` bytes (3 at least) is cut and ends in "...". Takes at most
 * 6 * most_bytes + 2 bytes of `out`. */
void json_add_string(struct text *out, struct slice value, size_t most_bytes);

#endif
