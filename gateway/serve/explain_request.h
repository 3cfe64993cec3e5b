/* The request that a browser would send for a URL, read as the gateway reads a live one. */
#ifndef SLUICE_SERVE_EXPLAIN_REQUEST_H
#define SLUICE_SERVE_EXPLAIN_REQUEST_H

#include "rules/judge.h"
#include "serve/explain.h"

enum { EXPLAIN_HEAD_MAX = 16 * 1024, EXPLAIN_WHY_MAX = 512 };

/* Not to be moved: `asked` points into it. */
struct explain_request {
    struct judge_request asked;
    struct slice host_header; /* HOST or HOST:PORT */
    bool secure;              /* wss:// or https://; asked.tls only where the gateway itself speaks TLS */
    struct ip_addr from;
    char head[EXPLAIN_HEAD_MAX];
    char path[EXPLAIN_HEAD_MAX];
    char subprotocols[EXPLAIN_HEAD_MAX];
};

/* False: `why` says which option is wrong, in what, and what to write. */
bool explain_request_make(struct explain_request *request, const struct explain_options *options,
    const struct rules *rules, char why[EXPLAIN_WHY_MAX]);

/* Whether the configuration has a listener of that kind. */
bool explain_request_has_listener(const struct rules *rules, bool tls);

#endif
