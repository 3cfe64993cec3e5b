/* The lists of sessions that workers answer with, one flat JSON object a line, put together into what the
 * admin listener answers. A worker reads from the network and so is not trusted: a line that is not a flat
 * object of strings, numbers, true, false and null is left out and can spoil nothing but itself. Pure. */
#ifndef SLUICE_SERVE_SESSIONS_JSON_H
#define SLUICE_SERVE_SESSIONS_JSON_H

#include "base/slice.h"
#include <stdio.h>

/* Whether `line` is such an object (RFC 8259, in ASCII or UTF-8, with no blanks outside strings needed). */
bool sessions_json_good(struct slice line);

/* The good ones of `lines`, with a comma between them and one in front unless *first, which it then clears.
 */
void sessions_json_list(struct slice lines, bool *first, FILE *out);

/* A table's first line: what stands in its columns, between tabs. */
void sessions_json_table_head(FILE *out);

/* The good ones of `lines` as the table's lines; "-" for what is not there. No value can have a tab, and
 * every byte prints. */
void sessions_json_table(struct slice lines, FILE *out);

/* The pids in `silent_workers` at the end of a whole answer, as they stand there; empty: there are none. */
struct slice sessions_json_silent(struct slice answer);

#endif
