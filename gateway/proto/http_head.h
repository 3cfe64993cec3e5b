/* What a request asks for: the verdict on a head that http_request has read, before any rule is looked at.
 * RFC 9110 for HTTP, RFC 6455 4.2.1 for the upgrade. A pure function of the bytes. */
#ifndef SLUICE_PROTO_HTTP_HEAD_H
#define SLUICE_PROTO_HTTP_HEAD_H

#include "proto/http_request.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OTHER_METHOD };

struct http_head {
    enum http_method method;
    bool upgrade;  /* a GET with Upgrade: websocket and Connection: Upgrade (RFC 6455 4.1) */
    bool has_port; /* the Host has one */
    bool has_origin;
    bool wants_close; /* Connection: close */
    uint16_t port;
    uint16_t status;        /* 0: nothing against it; else what to answer */
    const char *phrase;     /* why */
    struct slice host;      /* without port; of an IPv6 literal with its brackets */
    struct slice authority; /* the Host as sent: for the log */
    struct slice path;      /* still encoded; empty where another method's target is none */
    struct slice path_and_query;
    struct slice origin;
    struct slice key;
};

/* 400 for a Host, target, body, or single field that is not as it must be; 405 is not decided here, since it
 * depends on the route; 426 for a WebSocket version other than 13. */
void http_head_read(const struct http_request *r, const char *bytes, struct http_head *head);

/* Joins the Sec-WebSocket-Protocol fields with "," into `out` (RFC 6455 11.3.4: it may appear several times).
 * False: an element is no token, is there twice, or there is none in them, or they do not fit. */
bool http_head_subprotocols(
    const struct http_request *r, const char *bytes, char *out, size_t cap, struct slice *joined);

#endif
