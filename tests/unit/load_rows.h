/* Tables of a configuration's text and the faults that loading it has to tell, to the letter. */
#ifndef SLUICE_TESTS_LOAD_ROWS_H
#define SLUICE_TESTS_LOAD_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct load_row {
    const char *text;
    const char *told; /* of a file named "f"; "" where the text is fine */
};

/* Fails, showing each row that went another way, unless all of them went as they say. */
void load_rows_check(const struct load_row *rows, size_t count);

#endif
