/* UTF-8 (RFC 3629) checked as it streams: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SLUICE_PROTO_UTF8_H
#define SLUICE_PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: between two characters. */
struct utf8 {
    uint8_t left;      /* bytes that the character under way still needs */
    uint8_t low, high; /* what the next one of them may be */
};

/* Goes on with `n` bytes. False at the first byte that cannot be: the stream is then not UTF-8. */
bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t n) __attribute__((warn_unused_result));

/* Whether a text may end here: no character is under way. */
bool utf8_whole(const struct utf8 *u);

/* How many bytes at the end of `bytes` begin a character that they do not finish (0 to 3). For bytes that
 * utf8_feed has passed. */
size_t utf8_unfinished(const uint8_t *bytes, size_t n);

#endif
