/* Finding the word that was meant. */
#ifndef SLUICE_BASE_WORDS_H
#define SLUICE_BASE_WORDS_H

#include "base/slice.h"

/* The one of `words` (NULL-terminated) nearest to `typed` by insertions, deletions, replacements and swaps of
 * neighbours, or NULL when none is near enough to be what was meant (about a third of its letters). */
const char *words_nearest(struct slice typed, const char *const *words);

#endif
