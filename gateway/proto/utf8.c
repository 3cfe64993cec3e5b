#include "proto/utf8.h"
#include <string.h>

/* Eight ASCII bytes at a time: what text is mostly made of. */
static size_t ascii_run(const uint8_t *bytes, size_t n)
{
    size_t i = 0;
    while (n - i >= 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        i += 8;
    }
    while (i < n && bytes[i] < 0x80) {
        i++;
    }
    return i;
}

/* RFC 3629 4: the first byte tells the length, and for some narrows the second. */
static bool begin(struct utf8 *u, uint8_t first)
{
    u->low = 0x80;
    u->high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        u->left = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
        u->left = 2;
        u->low = first == 0xE0 ? 0xA0 : 0x80;
        u->high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        u->left = 3;
        u->low = first == 0xF0 ? 0x90 : 0x80;
        u->high = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return false;
    }
    return true;
}

bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (u->left == 0) {
            i += ascii_run(bytes + i, n - i);
            if (i == n) {
                break;
            }
            if (!begin(u, bytes[i])) {
                return false;
            }
        } else {
            if (bytes[i] < u->low || bytes[i] > u->high) {
                return false;
            }
            u->left--;
            u->low = 0x80;
            u->high = 0xBF;
        }
    }
    return true;
}

bool utf8_whole(const struct utf8 *u)
{
    return u->left == 0;
}

size_t utf8_unfinished(const uint8_t *bytes, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t byte = bytes[n - back];
        if (byte < 0x80) {
            return 0;
        }
        if (byte >= 0xC0) {
            size_t whole = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return whole > back ? back : 0;
        }
    }
    return 0;
}
