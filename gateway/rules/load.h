/* A configuration from YAML to rules. Reads the one file it is given and opens nothing that the file names.
 */
#ifndef SLUICE_RULES_LOAD_H
#define SLUICE_RULES_LOAD_H

#include "rules/faults.h"
#include "rules/rules.h"

/* What `sluice` reads where no other is named; only its fault says how to name one. */
#define LOAD_DEFAULT_FILE "/etc/sluice/sluice.yaml"

/* NULL when anything is wrong: then `faults` has at least one error. Never stops at the first fault.
 * `file` names the text in diagnostics, and its folder is what relative paths are relative to. */
struct rules *rules_load_text(const char *text, size_t len, const char *file, struct faults *faults);

/* The same for a file; one that cannot be read, or is above 1 MiB, is a fault at line 0. */
struct rules *rules_load_file(const char *file, struct faults *faults);

/* For `sluice check`, which looks at what a file names also where the file has faults: the rules as far as
 * they could be read. A value with a fault has its default, or is 0 or NULL, the items of a list included: no
 * count, pointer or pair of them in rules.h holds. NULL only where there is no file to read, or no memory. */
struct rules *rules_load_file_partly(const char *file, struct faults *faults);

/* What `sluice LISTEN TARGET` runs: one plain listener and one route with every default. LISTEN is
 * `[HOST:]PORT` (a bare port is on every address) or unix:PATH, TARGET is `HOST:PORT`, `unix:PATH`, or either
 * with its scheme. Faults are at line 0 and name "LISTEN" or "TARGET". */
struct rules *rules_from_arguments(const char *listen, const char *target, struct faults *faults);

/* Warns of each route that can never match because one before it takes all that it would. */
void rules_warn_hidden(const struct rules *rules, struct faults *faults);

/* Every key that a file may have, dotted, with [] for a list: "routes[].timeouts.idle". Calls `each` for
 * every one; the schema's test holds it against config/sluice.schema.json. */
void rules_each_key(void (*each)(const char *key, void *context), void *context);

#endif
