/* The pages of the admin listener that need no worker's word: read off the board. */
#ifndef SLUICE_SERVE_ADMIN_PAGES_H
#define SLUICE_SERVE_ADMIN_PAGES_H

#include "serve/admin_http.h"
#include <stdio.h>

/* Why no traffic should come now, in a word or two; NULL: it may. */
const char *admin_page_not_ready(const struct board *board);

const char *admin_page_type(enum admin_page page);

/* Writes the page. False: no memory. */
bool admin_page_write(const struct board *board, enum admin_page page, FILE *out)
    __attribute__((warn_unused_result));

#endif
