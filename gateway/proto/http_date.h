/* Dates of HTTP, RFC 9110 5.6.7. */
#ifndef SLUICE_PROTO_HTTP_DATE_H
#define SLUICE_PROTO_HTTP_DATE_H

#include "base/slice.h"

enum { HTTP_DATE_MAX = 30 };

/* "Sun, 06 Nov 1994 08:49:37 GMT", of seconds since 1970. */
void http_date_format(int64_t unix_s, char out[HTTP_DATE_MAX]);

/* Any of the three forms; false for anything else. */
bool http_date_parse(struct slice s, int64_t *unix_s);

#endif
