/* Which route takes a request: a pure function of the rules and of what the request says. */
#ifndef SLUICE_RULES_JUDGE_H
#define SLUICE_RULES_JUDGE_H

#include "rules/rules.h"

struct judge_request {
    struct slice host;          /* of the Host header, without its port; any case */
    uint16_t port;              /* of the Host header; 0: it has none */
    struct slice path;          /* decoded (proto/http_path), without the query */
    const struct ip_addr *from; /* NULL: a client on a unix socket */
    bool tls;                   /* came over TLS to this listener */
    bool upgrade; /* asks for a WebSocket; without it neither Origin nor subprotocol is judged */
    bool has_origin;
    struct slice origin;       /* as sent */
    struct slice subprotocols; /* the Sec-WebSocket-Protocol values joined by ","; empty: none offered */
};

/* The questions, in the order in which a route asks them; what a request fell at. */
enum judge_step { JUDGE_HOST, JUDGE_PATH, JUDGE_FROM, JUDGE_ORIGIN, JUDGE_SUBPROTOCOL, JUDGE_TAKEN };

/* How far `route` lets the request come. On JUDGE_TAKEN *subprotocol is the one to answer with (a slice of
 * the request's), or empty for none (RFC 6455 4.2.2 5.). A plain GET is asked
 * for host, path and from alone; an upgrade falls at the path of a `files` route.
 */
enum judge_step judge_route(
    const struct route *route, const struct judge_request *request, struct slice *subprotocol);

struct judgement {
    const struct route *route; /* the first that takes the request; NULL: none */
    enum judge_step reached;   /* how far the one that came furthest let it */
    uint16_t status;           /* 0 when taken; else 421, 404, 403 or 400 */
    struct slice subprotocol;
};

struct judgement judge(const struct rules *rules, const struct judge_request *request);

/* Whether one pattern takes the decoded path. */
bool judge_path_fits(const struct path_pattern *pattern, struct slice path);

/* The HTTP status for a request that fell at `step`, and a phrase for its body; 0 and "" for JUDGE_TAKEN. */
uint16_t judge_status(enum judge_step step);
const char *judge_phrase(enum judge_step step);

#endif
