/* The Range header, RFC 9110 14.2: one range of bytes. */
#ifndef SLUICE_PROTO_HTTP_RANGE_H
#define SLUICE_PROTO_HTTP_RANGE_H

#include "base/slice.h"

enum http_range_verdict {
    HTTP_RANGE_WHOLE, /* none asked for, several, or one not in the grammar: the whole is the answer (14.2) */
    HTTP_RANGE_PART,  /* first .. last, both inclusive, inside the file */
    HTTP_RANGE_NONE,  /* nothing of it is inside the file: 416 */
};

enum http_range_verdict http_range_read(struct slice value, uint64_t size, uint64_t *first, uint64_t *last);

#endif
