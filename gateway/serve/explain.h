/* `sluice explain`: what a request would get, by the same reading and judging that a live one goes through,
 * and without a connection. Reads the configuration alone: the files and targets that it names are not looked
 * at. */
#ifndef SLUICE_SERVE_EXPLAIN_H
#define SLUICE_SERVE_EXPLAIN_H

struct explain_options {
    const char *file;
    const char *url;         /* ws:// and wss:// ask for an upgrade, http:// and https:// do not */
    const char *origin;      /* the Origin header; NULL: none */
    const char *subprotocol; /* Sec-WebSocket-Protocol, joined by ","; NULL: none */
    const char *from;        /* the client's address; NULL: 127.0.0.1 */
};

/* The answer goes to standard output, diagnostics to standard error. Answers the exit status: 0 where a route
 * takes the request, 3 where none does, 2 for a bad URL, option or configuration. */
int explain_run(const struct explain_options *options) __attribute__((warn_unused_result));

#endif
