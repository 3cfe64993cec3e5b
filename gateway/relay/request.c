/* From the first byte to the verdict: reads the head, judges it, and answers 101, a file or a refusal. */
#include "base/clock.h"
#include "net/digest.h"
#include "proto/http_date.h"
#include "proto/http_head.h"
#include "proto/http_path.h"
#include "proto/http_response.h"
#include "relay/session.h"
#include <stdlib.h>

enum { ANSWER_MAX = 2048, SUBPROTOCOLS_MAX = 1024 };

static bool asks_by_head(const struct session_request *request)
{
    return request != NULL && request->http.method.len > 0 &&
           slice_eq(http_request_slice((const char *)buf_data(&request->bytes), request->http.method),
               SLICE("HEAD"));
}

void request_refuse(struct session *s, uint16_t status, const char *phrase, const char *allow)
{
    session_log_refused(s, status, phrase);
    tally_refused(s->relay->census->own, status);
    char date[HTTP_DATE_MAX];
    char id[SESSION_ID_MAX];
    char array[ANSWER_MAX];
    struct text answer;
    http_date_format((int64_t)(clock_wall_ms() / 1000), date);
    session_id_format(s, id);
    text_init(&answer, array, sizeof array);
    http_response_refusal(&answer, status, phrase, allow, date, id, asks_by_head(s->request));
    session_hang_up(s);
    closing_client_write(s, flow_write(&s->client, &s->down, answer.p, answer.len));
}

void request_switch(struct session *s)
{
    struct buf *answer = &s->request->answer;
    s->upgraded = true;
    closing_client_write(s, flow_write(&s->client, &s->down, buf_data(answer), buf_len(answer)));
}

void request_free(struct session *s)
{
    if (s->request != NULL) {
        files_end(s->request);
        buf_fini(&s->request->bytes);
        buf_fini(&s->request->answer);
        free(s->request);
        s->request = NULL;
    }
}

void request_done(struct session *s)
{
    size_t head = s->request->http.head_len;
    size_t more = buf_len(&s->request->bytes) - head;
    if (more > 0) {
        up_frames(s, buf_data(&s->request->bytes) + head, more);
    }
    request_free(s);
}

/* For those who ask later what the session is. False: no memory. */
static bool note_asked(
    struct session *s, const struct http_head *head, struct slice offered, struct slice subprotocol)
{
    struct asked_words words = {
        .authority = head->authority,
        .host_len = head->host.len,
        .port = head->port,
        .has_origin = head->has_origin,
        .path = head->path,
        .origin = head->origin,
        .subprotocols = offered,
        .subprotocol = subprotocol,
    };
    s->asked = asked_take(&s->relay->asked, &words);
    return s->asked != NULL;
}

/* The route takes the request: a session begins. */
static void accept_upgrade(
    struct session *s, const struct http_head *head, struct slice offered, struct slice subprotocol)
{
    char accept_key[DIGEST_ACCEPT_LEN + 1];
    char id[SESSION_ID_MAX];
    if (s->relay->refusing) {
        request_refuse(s, 503, cause_phrase(CAUSE_DRAIN), NULL);
        return;
    }
    char array[ANSWER_MAX];
    struct text answer;
    text_init(&answer, array, sizeof array);
    if (!digest_accept_key(head->key, accept_key)) {
        request_refuse(s, 500, cause_phrase(CAUSE_INTERNAL), NULL);
        return;
    }
    session_id_format(s, id);
    http_response_switching(&answer, accept_key, subprotocol, id);
    if (!note_asked(s, head, offered, subprotocol) ||
        !buf_append(&s->request->answer, answer.p, answer.len)) {
        request_refuse(s, 503, cause_phrase(CAUSE_OVERLOAD), NULL);
        return;
    }
    struct place_verdict place = place_take(s);
    if (place.status != 0) {
        request_refuse(s, place.status, place.phrase, NULL);
        return;
    }
    ws_message_init(&s->message, s->route->messages != MESSAGES_BINARY, s->route->messages != MESSAGES_TEXT,
        s->route->limits.message_bytes);
    session_move(s, SESSION_DIAL);
    if (s->route->on_unreachable == ON_UNREACHABLE_CLOSE) {
        request_switch(s);
    }
    if (s->state == SESSION_DIAL) {
        target_choose(s);
    }
}

/* A connection that was accepted before a reload may send its request behind it: where the reload revokes,
 * the new rules have the last word. */
static struct judgement judge_both(const struct relay *relay, const struct judge_request *asked)
{
    struct judgement judgement = judge(relay->rules, asked);
    if (judgement.route != NULL && relay->newer != NULL) {
        struct judgement newer = judge(relay->newer, asked);
        return newer.route != NULL ? judgement : newer;
    }
    return judgement;
}

static void judge_head(struct session *s, const struct http_head *head)
{
    struct relay *relay = s->relay;
    struct session_request *request = s->request;
    const char *bytes = (const char *)buf_data(&request->bytes);
    char subprotocols[SUBPROTOCOLS_MAX];
    char *path = (char *)relay->scratch;
    struct judge_request asked = {
        .host = head->host,
        .port = head->port,
        .from = s->peer.is_unix ? NULL : &s->peer.addr,
        .tls = s->door->tls != NULL,
        .upgrade = head->upgrade && head->method == HTTP_GET,
        .has_origin = head->has_origin,
        .origin = head->origin,
    };
    asked.path.p = path;
    if (!http_path_decode(head->path, path, RELAY_READ_MAX, &asked.path.len)) {
        request_refuse(s, 400, "request path has a bad percent-encoding", NULL);
        return;
    }
    if (asked.upgrade && !http_head_subprotocols(
                             &request->http, bytes, subprotocols, sizeof subprotocols, &asked.subprotocols)) {
        request_refuse(s, 400, "Sec-WebSocket-Protocol is not a list of distinct tokens", NULL);
        return;
    }
    struct judgement judgement = judge_both(relay, &asked);
    bool is_files = judgement.route != NULL && judgement.route->files != NULL;
    if (head->method == HTTP_OTHER_METHOD ||
        (head->method == HTTP_HEAD && judgement.route != NULL && !is_files)) {
        request_refuse(s, 405, is_files ? "only GET and HEAD are taken here" : "only GET is taken here",
            is_files ? "GET, HEAD" : "GET");
    } else if (judgement.route == NULL) {
        request_refuse(s, judgement.status, judge_phrase(judgement.reached), NULL);
    } else if (is_files) {
        s->route = judgement.route;
        files_answer(s, head, asked.path);
    } else if (!head->upgrade) {
        request_refuse(s, 426, "this is a WebSocket; the request does not ask for the upgrade", NULL);
    } else {
        s->route = judgement.route;
        accept_upgrade(s, head, asked.subprotocols, judgement.subprotocol);
    }
}

/* Reads on with what has come. True when the head was decided on. */
static bool read_head(struct session *s)
{
    struct session_request *request = s->request;
    const char *bytes = (const char *)buf_data(&request->bytes);
    struct http_head head;
    s->peer = request->through; /* the request before this one may have come for another client */
    switch (
        http_request_read(&request->http, bytes, buf_len(&request->bytes), s->relay->rules->request_bytes)) {
    case HTTP_MORE:
        return false;
    case HTTP_BAD:
        request_refuse(s, request->http.status, request->http.phrase, NULL);
        return true;
    case HTTP_DONE:
        http_head_read(&request->http, bytes, &head);
        if (!proxy_forwarded(s)) {
            request_refuse(s, 400, "X-Forwarded-For has something that is no address", NULL);
        } else if (head.status != 0) {
            request_refuse(s, head.status, head.phrase, NULL);
        } else {
            judge_head(s, &head);
        }
        return true;
    }
    return true;
}

static bool may_read(const struct session *s)
{
    return !s->client.over &&
           ((s->client.ready & LOOP_READ) != 0 || s->client.io->ops->pending(s->client.io) > 0);
}

bool request_has_room(const struct session *s)
{
    return buf_len(&s->request->bytes) < s->relay->rules->request_bytes;
}

/* True when bytes came. */
static bool read_bytes(struct session *s)
{
    uint8_t *to = s->relay->scratch;
    size_t room = s->relay->rules->request_bytes - buf_len(&s->request->bytes);
    size_t cap = room < RELAY_READ_MAX ? room : RELAY_READ_MAX;
    struct io_result result = s->client.io->ops->read(s->client.io, to, cap);
    s->client.ready &= (uint8_t)~LOOP_READ; /* one read for one announcement */
    switch (result.status) {
    case IO_OK:
        if (buf_append(&s->request->bytes, to, result.n)) {
            return true;
        }
        session_end(s, CAUSE_OVERLOAD, NULL);
        return false;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        return false;
    case IO_EOF:
    case IO_FAIL:
        break;
    }
    s->client.over = true;
    return false;
}

void request_dial_step(struct session *s)
{
    if (flow_is_blocked(&s->client, &s->down) && (s->client.ready & LOOP_WRITE) != 0) {
        closing_client_write(s, flow_flush(&s->client, &s->down));
    }
    if (s->state == SESSION_DIAL && may_read(s) && request_has_room(s)) {
        (void)read_bytes(s);
    }
    /* One that went and left nothing to deliver needs no target. */
    if (s->state == SESSION_DIAL && s->client.over &&
        buf_len(&s->request->bytes) == s->request->http.head_len) {
        session_end(s, CAUSE_CLIENT_GONE, NULL);
    }
}

bool request_begin(struct session *s)
{
    if (s->request == NULL) {
        s->request = calloc(1, sizeof *s->request);
        if (s->request == NULL) {
            return false;
        }
        http_request_init(&s->request->http);
        s->request->file.fd = -1;
        s->request->through = s->peer;
    }
    return true;
}

void request_step(struct session *s)
{
    if (!request_begin(s)) {
        session_log_dropped(s->relay, s->door, &s->peer);
        session_move(s, SESSION_DONE);
        return;
    }
    if (flow_is_blocked(&s->client, &s->down) && flow_flush(&s->client, &s->down) == FLOW_BROKEN) {
        session_move(s, SESSION_DONE);
        return;
    }
    do {
        if (buf_len(&s->request->bytes) > 0 && read_head(s)) {
            return;
        }
    } while (may_read(s) && read_bytes(s));
    if (s->client.over) {
        session_move(s, SESSION_DONE);
    }
}
