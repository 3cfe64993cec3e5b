/* Where a socket listens or connects to, as an operator writes it; nothing is looked up here. */
#ifndef SLUICE_BASE_ENDPOINT_H
#define SLUICE_BASE_ENDPOINT_H

#include "base/slice.h"

enum endpoint_kind { ENDPOINT_INET, ENDPOINT_UNIX };

enum {
    ENDPOINT_HOST_MAX = 255,
    ENDPOINT_PATH_MAX = 107, /* sun_path without its NUL */
    ENDPOINT_TEXT_MAX = 272,
};

struct endpoint {
    enum endpoint_kind kind;
    uint16_t port;                    /* INET: 0 lets the system choose, for listening alone */
    char host[ENDPOINT_HOST_MAX + 1]; /* INET: a name or an address without brackets; "" = every address */
    char path[ENDPOINT_PATH_MAX + 1]; /* UNIX */
};

/* `HOST:PORT`, `[V6]:PORT`, `:PORT`, `unix:/path`. False when it is none of them; *why then says what is
 * wrong and what to write, in a phrase. */
bool endpoint_parse(struct slice s, struct endpoint *out, const char **why);

/* As endpoint_parse reads it: "10.0.0.1:80", "[::1]:80", ":80", "unix:/run/x". */
void endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_MAX]);

#endif
