/* Memory that is filled piece by piece and given back at once: what a configuration lives in.
 * Not thread-safe; allocation failure ends the process's attempt (NULL is answered and must be looked at). */
#ifndef SLUICE_BASE_ARENA_H
#define SLUICE_BASE_ARENA_H

#include "base/slice.h"

struct arena {
    struct arena_block *blocks;
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);

/* `size` zeroed bytes, aligned for any type; NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((warn_unused_result));

/* A NUL-terminated copy. */
char *arena_copy(struct arena *a, struct slice s) __attribute__((warn_unused_result));

#endif
