/* Any bytes as text: a verdict that does not depend on the pieces, and the one that the grammar of RFC 3629
 * gives. */
#include "proto/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static bool between(uint8_t byte, uint8_t low, uint8_t high)
{
    return byte >= low && byte <= high;
}

/* The length of the character at the front by RFC 3629 4, rule by rule; 0: none is there. */
static size_t character(const uint8_t *p, size_t n)
{
    if (n >= 1 && p[0] <= 0x7F)
        return 1;
    if (n >= 2 && between(p[0], 0xC2, 0xDF) && between(p[1], 0x80, 0xBF))
        return 2;
    if (n >= 3 && between(p[2], 0x80, 0xBF) &&
        ((p[0] == 0xE0 && between(p[1], 0xA0, 0xBF)) ||
            (between(p[0], 0xE1, 0xEC) && between(p[1], 0x80, 0xBF)) ||
            (p[0] == 0xED && between(p[1], 0x80, 0x9F)) ||
            (between(p[0], 0xEE, 0xEF) && between(p[1], 0x80, 0xBF))))
        return 3;
    if (n >= 4 && between(p[2], 0x80, 0xBF) && between(p[3], 0x80, 0xBF) &&
        ((p[0] == 0xF0 && between(p[1], 0x90, 0xBF)) ||
            (between(p[0], 0xF1, 0xF3) && between(p[1], 0x80, 0xBF)) ||
            (p[0] == 0xF4 && between(p[1], 0x80, 0x8F))))
        return 4;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = 1U + data[0] % 16;
    const uint8_t *text = data + 1;
    size_t n = size - 1, good = 0;
    for (size_t len = 1; len > 0; good += len)
        len = character(text + good, n - good);

    struct utf8 whole = {0}, pieces = {0};
    bool fed = utf8_feed(&whole, text, n), fed_pieces = true;
    for (size_t at = 0; at < n && fed_pieces; at += step)
        fed_pieces = utf8_feed(&pieces, text + at, step < n - at ? step : n - at);
    require(fed == fed_pieces);
    require((fed && utf8_whole(&whole)) == (good == n));
    if (fed) {
        require(utf8_whole(&whole) == utf8_whole(&pieces));
        require(utf8_unfinished(text, n) == n - good);
    }
    return 0;
}
