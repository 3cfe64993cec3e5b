/* A session's lines in the log. */
#include "proto/http_head.h"
#include "relay/session.h"

enum { SECRETS_MAX = 1024 };

static void log_id(struct log_line *line, const struct session *s)
{
    char id[SESSION_ID_MAX];
    session_id_format(s, id);
    log_cstr(line, "id", id);
}

static void log_peer(struct log_line *line, const struct sock_peer *peer)
{
    char client[SOCK_TEXT_MAX];
    sock_peer_format(peer, client);
    log_cstr(line, "client", client);
}

static void log_client(struct log_line *line, const struct session *s)
{
    log_peer(line, &s->peer);
}

void session_log_target_failed(const struct session *s, enum cause cause, const char *detail)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_WARNING, "target_failed");
    log_id(&line, s);
    log_cstr(&line, "route", s->route->name);
    log_cstr(&line, "target", target_of(s)->text);
    log_cstr(&line, "cause", cause_name(cause));
    log_cstr(&line, "detail", detail);
    log_end(&line);
}

void session_log_target_back(const struct session *s, uint32_t failures)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_INFO, "target_back");
    log_id(&line, s);
    log_cstr(&line, "route", s->route->name);
    log_cstr(&line, "target", target_of(s)->text);
    log_u64(&line, "failures", failures);
    log_end(&line);
}

/* Accepted and not delivered: only where a side's time to take it was up. */
static void log_undelivered(struct log_line *line, const struct session *s)
{
    if (s->up.undelivered > 0) {
        log_u64(line, "undelivered_up_bytes", s->up.undelivered);
    }
    if (s->down.undelivered > 0) {
        log_u64(line, "undelivered_down_bytes", s->down.undelivered);
    }
}

static void log_slow(struct log_line *line, const struct session *s)
{
    struct sock_facts client = slow_tcp(&s->client);
    struct sock_facts target = slow_tcp(&s->target);
    if (s->ping_known) {
        log_u64(line, "ping_ms", s->ping_ms);
        log_u64(line, "ping_max_ms", s->ping_max_ms);
    }
    log_u64(line, "up_stalled_ms", slow_stalled_ms(s, &s->up));
    log_u64(line, "down_stalled_ms", slow_stalled_ms(s, &s->down));
    if (client.rtt_us != 0) {
        log_u64(line, "client_rtt_us", client.rtt_us);
        log_u64(line, "client_retransmits", client.retransmits);
    }
    if (target.rtt_us != 0) {
        log_u64(line, "target_rtt_us", target.rtt_us);
        log_u64(line, "target_retransmits", target.retransmits);
    }
}

void session_log_end(const struct session *s)
{
    struct log_line line;
    log_begin(&line, s->relay->log, cause_log_level(s->cause), "session_end");
    log_id(&line, s);
    log_client(&line, s);
    log_cstr(&line, "listener", s->door->name);
    log_cstr(&line, "route", s->route->name);
    log_cstr(&line, "target", target_of(s)->text);
    log_cstr(&line, "cause", cause_name(s->cause));
    log_u64(&line, "code", s->close_code);
    log_u64(&line, "up_bytes", s->up.bytes);
    log_u64(&line, "down_bytes", s->down.bytes);
    log_u64(&line, "duration_ms", s->relay->now_ms - s->begun_ms);
    log_undelivered(&line, s);
    log_slow(&line, s);
    log_end(&line);
}

/* Host, path and Origin as far as the request was read. */
static void log_request(struct log_line *line, const struct session *s)
{
    struct http_head head = {0};
    if (s->request != NULL && s->request->http.method.len > 0) {
        const char *bytes = (const char *)buf_data(&s->request->bytes);
        http_head_read(&s->request->http, bytes, &head);
        if (head.path_and_query.len == 0) { /* not as it should be: as it came */
            head.path_and_query = http_request_slice(bytes, s->request->http.target);
        }
    }
    char shown[SECRETS_MAX];
    log_str(line, "host", head.authority);
    log_str(line, "path", log_hide_secrets(head.path_and_query, shown, sizeof shown));
    log_str(line, "origin", log_hide_secrets(head.origin, shown, sizeof shown));
}

void session_log_file_cut(const struct session *s, const char *reason)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_INFO, "file_cut");
    log_client(&line, s);
    log_request(&line, s);
    log_u64(&line, "left_bytes", s->request->file.end - s->request->file.at + buf_len(&s->down.kept));
    log_cstr(&line, "reason", reason);
    log_end(&line);
}

void session_log_unacknowledged(const struct session *s)
{
    size_t up = s->target.io != NULL ? sock_unacked_bytes(s->target.io->fd) : 0;
    size_t down = s->client.io != NULL ? sock_unacked_bytes(s->client.io->fd) : 0;
    if (up + down == 0 || !s->has_cause) {
        return;
    }
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_WARNING, "unacknowledged");
    log_id(&line, s);
    log_client(&line, s);
    log_u64(&line, "up_bytes", up);
    log_u64(&line, "down_bytes", down);
    log_end(&line);
}

void session_log_dropped(struct relay *relay, const struct relay_door *door, const struct sock_peer *peer)
{
    struct log_line line;
    log_begin(&line, relay->log, LOG_ERROR, "connection_dropped");
    log_peer(&line, peer);
    log_cstr(&line, "listener", door->name);
    log_cstr(&line, "reason", "out of memory");
    log_end(&line);
}

void session_log_proxy_refused(
    struct relay *relay, const struct relay_door *door, const struct sock_peer *peer, const char *reason)
{
    struct log_line line;
    log_begin(&line, relay->log, LOG_INFO, "proxy_refused");
    log_peer(&line, peer);
    log_cstr(&line, "listener", door->name);
    log_cstr(&line, "reason", reason);
    log_end(&line);
}

void session_log_pipe_opened(const struct session *s, const struct splice_pipe *pipe)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_DEBUG, "pipe_opened");
    log_id(&line, s);
    log_u64(&line, "cap_bytes", pipe->cap_bytes);
    log_end(&line);
}

void session_log_tls_failed(const struct session *s, const char *reason)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_INFO, "tls_failed");
    log_client(&line, s);
    log_cstr(&line, "listener", s->door->name);
    log_cstr(&line, "reason", reason);
    log_end(&line);
}

void session_log_refused(const struct session *s, uint16_t status, const char *phrase)
{
    struct log_line line;
    log_begin(&line, s->relay->log, LOG_INFO, "request_refused");
    if (line.log == NULL) {
        return;
    }
    log_client(&line, s);
    log_request(&line, s);
    log_u64(&line, "status", status);
    log_cstr(&line, "reason", phrase);
    log_id(&line, s);
    log_end(&line);
}
