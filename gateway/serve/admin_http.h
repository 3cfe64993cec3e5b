/* What a request to the admin listener asks for, and whether it may: a pure function of its head, of who
 * sends it and of the names of routes.
 *
 * Two things keep web pages out, which a browser on an allowed machine may have open. A page's own requests
 * carry an Origin that no tool sends: 403. And a page whose name was made to point here (DNS rebinding) sends
 * that name as its Host: so a Host is an IP address, `localhost`, this machine's name or that of
 * `admin.address`, else 421. Through a unix socket, where no page comes, any Host goes; and so it does for an
 * address of `admin.allow` that asks for /healthz, /readyz or /metrics, since monitors call machines by
 * names. */
#ifndef SLUICE_SERVE_ADMIN_HTTP_H
#define SLUICE_SERVE_ADMIN_HTTP_H

#include "net/sock.h"
#include "proto/http_request.h"
#include "rules/rules.h"
#include "serve/board.h"
#include "serve/control.h"

enum { ADMIN_WHY_MAX = 200 };

enum admin_page {
    ADMIN_HEALTH,
    ADMIN_READY,
    ADMIN_METRICS,
    ADMIN_WORKERS,
    ADMIN_SESSIONS,
    ADMIN_SESSION, /* the one that `filter.id` names */
};

/* Who asks whom. */
struct admin_context {
    const struct admin_rule *rule;
    struct sock_peer peer;
    const char *machine; /* its host name */
    const struct board_head *board;
};

struct admin_ask {
    uint16_t status;   /* 0: go ahead; else what to answer, because of `why` */
    const char *allow; /* with 405 */
    char why[ADMIN_WHY_MAX];
    enum admin_page page;
    bool head_only; /* HEAD */
    bool ends;      /* DELETE: ends the sessions that `filter` takes */
    bool plain;     /* a table with tabs rather than JSON is wanted */
    struct control_filter filter;
};

/* Loopback and unix always, others where `admin.allow` has them. */
bool admin_http_may_connect(const struct admin_rule *rule, const struct sock_peer *peer);

/* Judges a head that http_request_read has read. */
void admin_http_judge(const struct admin_context *context, const struct http_request *r, const char *bytes,
    struct admin_ask *ask);

#endif
