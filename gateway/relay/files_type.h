/* Content types by the ending of a file's name. */
#ifndef SLUICE_RELAY_FILES_TYPE_H
#define SLUICE_RELAY_FILES_TYPE_H

#include "base/slice.h"

/* "text/html; charset=utf-8"; application/octet-stream for an ending that is not known. */
const char *files_type(struct slice path);

#endif
