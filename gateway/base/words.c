#include "base/words.h"

enum { WORD_MAX = 40 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; both words at most WORD_MAX long. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a.len; i++) {
        d[i][0] = (unsigned)i;
    }
    for (size_t j = 0; j <= b.len; j++) {
        d[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
            unsigned best = least(d[i - 1][j] + 1, d[i][j - 1] + 1);
            best = least(best, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && y == lower(a.p[i - 2])) {
                best = least(best, d[i - 2][j - 2] + 1);
            }
            d[i][j] = best;
        }
    }
    return d[a.len][b.len];
}

const char *words_nearest(struct slice typed, const char *const *words)
{
    const char *nearest = NULL;
    unsigned nearest_distance = 0;
    if (typed.len > WORD_MAX) {
        return NULL;
    }
    for (; *words; words++) {
        struct slice word = slice_from(*words);
        if (word.len > WORD_MAX) {
            continue;
        }
        unsigned d = distance(typed, word);
        if (d > (typed.len > word.len ? typed.len : word.len) / 3) {
            continue;
        }
        if (!nearest || d < nearest_distance) {
            nearest = *words;
            nearest_distance = d;
        }
    }
    return nearest;
}
