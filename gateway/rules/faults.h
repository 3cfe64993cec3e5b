/* What is wrong with a configuration: gathered, sorted by place, and printed all in one run. */
#ifndef SLUICE_RULES_FAULTS_H
#define SLUICE_RULES_FAULTS_H

#include "rules/rules.h"
#include <stdio.h>

struct fault {
    struct place at;
    bool warning;
    char *text; /* "routes[1].orgin: unknown key (did you mean "origin"?)" */
};

struct faults {
    struct fault *items;
    size_t count;
    size_t cap;
    size_t error_count; /* those that are no warnings */
    bool lost;          /* there was no memory for one: counted, not kept */
};

void faults_init(struct faults *f);
void faults_fini(struct faults *f);

/* `key` is the dotted path to the value, such as "routes[1].origin"; "" for the file as a whole. */
void faults_error(struct faults *f, struct place at, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void faults_warn(struct faults *f, struct place at, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One line each: `FILE:LINE:COLUMN: KEY: TEXT`, a warning with "warning: " before its text; ordered by place.
 */
void faults_print(struct faults *f, const char *file, FILE *out);

/* One of them as such a line, without its end; cut where it is longer than `cap`. */
void faults_line(const struct fault *fault, const char *file, char *out, size_t cap);

#endif
