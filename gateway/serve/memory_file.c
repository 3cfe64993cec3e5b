#include "serve/memory_file.h"
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { LEAST_BYTES = 4096 };

static bool make_room(struct memory_file *file, size_t n)
{
    size_t cap = file->cap > 0 ? file->cap : LEAST_BYTES;
    while (cap - file->len < n) {
        cap *= 2;
    }
    char *bytes = cap > file->cap ? realloc(file->bytes, cap) : file->bytes;
    if (bytes == NULL) {
        return false;
    }
    file->bytes = bytes;
    file->cap = cap;
    return true;
}

/* 0 is an error to stdio. */
static ssize_t put(void *cookie, const char *from, size_t n)
{
    struct memory_file *file = cookie;
    if (n == 0 || !make_room(file, n)) {
        return 0;
    }
    memcpy(file->bytes + file->len, from, n);
    file->len += n;
    return (ssize_t)n;
}

FILE *memory_file_open(struct memory_file *file)
{
    static const cookie_io_functions_t functions = {.write = put};
    return fopencookie(file, "w", functions);
}

bool memory_file_close(FILE *stream)
{
    bool good = fflush(stream) == 0 && ferror(stream) == 0;
    return fclose(stream) == 0 && good;
}
