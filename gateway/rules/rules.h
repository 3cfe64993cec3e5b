/* The rules that a configuration file states, typed and complete: every default is filled in, every value is
 * in its range. Once loaded they never change; all of it lives in one arena and is freed at once.
 *
 * Durations are milliseconds with DURATION_OFF for `off`; sizes are bytes with SIZE_OFF for `off`. Strings
 * end in NUL. Paths are absolute or relative to the working directory (already resolved against the file). */
#ifndef SLUICE_RULES_RULES_H
#define SLUICE_RULES_RULES_H

#include "base/arena.h"
#include "base/egress.h"
#include "base/endpoint.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/slice.h"
#include "rules/cause.h"

#define DURATION_OFF UINT64_MAX
#define SIZE_OFF     UINT64_MAX

/* Where something stands in the file, both from 1; line 0: not from a file. */
struct place {
    unsigned line;
    unsigned column;
};

enum poller_choice { POLLER_AUTO, POLLER_POLL, POLLER_EPOLL };
/* `sandbox`: auto is what the kernel has. */
enum sandbox_choice { SANDBOX_AUTO, SANDBOX_OFF, SANDBOX_STRICT };
enum tls_min_version { TLS_MIN_1_2, TLS_MIN_1_3 };
enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRE };
enum ktls_choice { KTLS_AUTO, KTLS_OFF };

struct certificate_rule {
    struct place cert_at, key_at;
    const char *cert; /* PEM: the certificate and its chain */
    const char *key;  /* PEM */
};

struct listen_tls_rule {
    struct certificate_rule *certificates; /* the first is the default */
    size_t certificate_count;              /* >= 1 */
    enum tls_min_version min_version;
    struct place client_ca_at;
    const char *client_ca; /* PEM; NULL when client_auth is CLIENT_AUTH_NONE */
    enum client_auth client_auth;
    enum ktls_choice ktls; /* auto: the kernel encrypts where it can */
};

/* `COUNT/s`, `COUNT/m`, `COUNT/h`: so many in that time, and so many at once after a pause. */
struct rate_rule {
    uint32_t count;  /* 0: off */
    uint32_t per_ms; /* 1000, 60000 or 3600000 */
};

struct listen_rule {
    struct place at;
    struct endpoint address; /* of no use where fd_name is set */
    const char *fd_name;     /* `fd:NAME`: a socket that the service manager hands over; else NULL */
    const struct listen_tls_rule *tls; /* NULL: plain ws */
    bool proxy_protocol;               /* a PROXY header is required, from trusted proxies alone */
    struct ip_net *trusted_proxies;    /* whose PROXY header and X-Forwarded-For count */
    size_t trusted_proxy_count;
    bool trusts_unix; /* `unix:` in trusted_proxies: who connects through a unix socket */
    uint32_t mode;    /* of a unix socket's file; 0: by the umask */
};

/* `host`: exact, or "*.example.com" for every name below it (not example.com itself). Lower case. */
struct host_pattern {
    bool wildcard;
    struct slice name; /* without the "*." */
};

/* `path`: exact, or (with a star behind its final slash) that folder and all below it. */
struct path_pattern {
    bool any;
    bool prefix;
    struct slice path; /* of a prefix: with its final slash */
};

enum origin_kind {
    ORIGIN_SAME, /* host and port are the Host header's */
    ORIGIN_ANY,  /* every Origin, and none */
    ORIGIN_NONE, /* no Origin header */
    ORIGIN_URL,  /* scheme://host[:port], default ports filled in */
};

struct origin_pattern {
    enum origin_kind kind;
    struct slice scheme; /* lower case, as is the host */
    bool wildcard;       /* "*.": every name below `host` */
    struct slice host;
    uint16_t port;
};

enum subprotocol_kind { SUBPROTOCOL_NAME, SUBPROTOCOL_ANY, SUBPROTOCOL_NONE };

struct subprotocol_pattern {
    enum subprotocol_kind kind;
    struct slice name; /* compared with case (RFC 6455 4.2.2) */
};

enum { TARGETS_MAX = 64 }; /* of one route: a set of them is a uint64_t */

enum target_scheme { TARGET_TCP, TARGET_TLS, TARGET_UNIX };

struct target_rule {
    struct place at;
    enum target_scheme scheme;
    struct endpoint address;
    const char *text; /* as the file has it; for the log */
};

struct target_tls_rule {
    struct place ca_at, cert_at, key_at;
    const char *ca;          /* PEM; NULL: the system's */
    const char *server_name; /* NULL: the target's host */
    const char *cert, *key;  /* our own client certificate, PEM; both or none NULL */
    bool verify;
};

/* `target_proxy_protocol`: what the target is told of the client before anything else. */
enum target_proxy { TARGET_PROXY_OFF, TARGET_PROXY_V1, TARGET_PROXY_V2 };

/* `balance`: which of several targets is tried first; those that cannot be reached are passed over. */
enum balance { BALANCE_FIRST, BALANCE_ROUND_ROBIN, BALANCE_LEAST_SESSIONS };

enum messages { MESSAGES_BINARY, MESSAGES_TEXT, MESSAGES_ANY };
enum on_unreachable { ON_UNREACHABLE_CLOSE, ON_UNREACHABLE_HTTP };
enum on_client_abort { ON_CLIENT_ABORT_FIN, ON_CLIENT_ABORT_RESET };

/* The timeouts that a route can have of its own. */
struct route_timeouts {
    uint64_t connect_ms;
    uint64_t ping_ms;
    uint64_t pong_ms;
    uint64_t idle_ms;
    uint64_t session_ms;
    uint64_t close_ms;
};

struct route_limits {
    uint64_t sessions; /* of this route; SIZE_OFF: no limit but the gateway's */
    uint64_t message_bytes;
    uint32_t buffer_bytes;
    uint64_t rate_up_bytes; /* a second, of one session; SIZE_OFF: no limit */
    uint64_t rate_down_bytes;
};

struct route {
    struct place at;
    unsigned index;   /* in rules.routes */
    const char *name; /* `name`, or "routes[N]" */

    /* What it takes. A count of 0 for host and path means any; for `from` any client, also a unix one. */
    struct host_pattern *hosts;
    size_t host_count;
    struct path_pattern *paths;
    size_t path_count;
    struct ip_net *from;
    size_t from_count;
    struct origin_pattern *origins; /* >= 1 */
    size_t origin_count;
    struct subprotocol_pattern *subprotocols; /* >= 1 */
    size_t subprotocol_count;

    /* What it gives: a folder, or a target. */
    const char *files; /* NULL: a target */
    struct place files_at;
    const struct target_rule *targets; /* NULL: files; no two are the same */
    size_t target_count;               /* >= 1 where `targets` is not NULL */
    enum balance balance;
    bool connect_retry;                       /* all of them are tried again while `connect` lasts */
    enum target_proxy target_proxy;           /* of all targets */
    struct egress egress;                     /* which addresses a target may have */
    const struct target_tls_rule *target_tls; /* not NULL where one of them is TARGET_TLS */
    enum messages messages;
    enum on_unreachable on_unreachable;
    enum on_client_abort on_client_abort;
    uint16_t close_codes[CAUSE_COUNT]; /* the table's own, but where the route says otherwise */
    struct route_timeouts timeouts;
    struct route_limits limits;
};

enum log_output { LOG_OUTPUT_STDERR, LOG_OUTPUT_FILE, LOG_OUTPUT_SYSLOG };

/* `admin`: /healthz, /readyz, /metrics, /sessions. */
struct admin_rule {
    struct place at;
    bool on;
    struct endpoint address;
    struct ip_net *allow; /* clients; none: loopback and unix alone, which are always allowed */
    size_t allow_count;
};

struct rules {
    struct arena arena;
    const char *file; /* "" without one */
    uint32_t workers; /* 0: `auto`, one for each CPU that we may use */
    struct place user_at;
    const char *user; /* NULL: stay who we are */
    struct place sandbox_at;
    enum sandbox_choice sandbox;
    enum poller_choice poller;
    struct listen_rule *listens; /* >= 1 */
    size_t listen_count;
    struct route *routes; /* >= 1 */
    size_t route_count;
    uint64_t handshake_ms;
    uint64_t close_ms;                /* for what has no route */
    uint64_t drain_ms;                /* what sessions get before `drain` ends them; DURATION_OFF: for ever */
    uint64_t sessions_max;            /* SIZE_OFF: no limit */
    uint64_t sessions_per_client_max; /* by address, IPv6 by /64; SIZE_OFF: no limit */
    struct rate_rule new_sessions_per_client; /* the same */
    uint32_t request_bytes;
    bool revoke; /* a reload to these rules ends sessions that they would not admit */
    enum log_level log_level;
    enum log_format log_format;
    enum log_output log_output;
    struct place log_file_at; /* of syslog too */
    const char *log_file;     /* LOG_OUTPUT_FILE alone, else NULL */
    struct rate_rule log_rate;
    struct admin_rule admin;
};

void rules_free(struct rules *rules);

#endif
