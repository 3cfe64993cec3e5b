/* A stream into memory. Unlike open_memstream(3), whose streams pass over what they have no memory for, it
 * then has an error: ferror(3) and fclose(3) tell. */
#ifndef SLUICE_SERVE_MEMORY_FILE_H
#define SLUICE_SERVE_MEMORY_FILE_H

#include <stdbool.h>
#include <stdio.h>

/* Zeros at first; stays where it is until the stream is closed. What is in it is the caller's to free. */
struct memory_file {
    char *bytes; /* NULL: nothing was written */
    size_t len, cap;
};

/* NULL when there is no memory. */
FILE *memory_file_open(struct memory_file *file) __attribute__((warn_unused_result));
/* True: all that was written is there. */
bool memory_file_close(FILE *stream) __attribute__((warn_unused_result));

#endif
