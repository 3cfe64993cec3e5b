/* Paths of requests: percent-decoding (RFC 3986 2.1), for matching against rules and for files. */
#ifndef SLUICE_PROTO_HTTP_PATH_H
#define SLUICE_PROTO_HTTP_PATH_H

#include "base/slice.h"

/* Decodes `raw`, a path without its query, into `out`. An encoded slash stays as "%2F": it separates no
 * folders. False: a "%" without two hex digits behind it, a NUL, or no room in `cap`. */
bool http_path_decode(struct slice raw, char *out, size_t cap, size_t *len)
    __attribute__((warn_unused_result));

#endif
