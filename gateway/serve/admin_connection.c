/* One connection of the admin listener: a request, an answer, the end. */
#include "base/clock.h"
#include "net/transport.h"
#include "proto/http_date.h"
#include "proto/http_response.h"
#include "serve/admin_internal.h"
#include "serve/admin_pages.h"
#include "serve/memory_file.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void admin_connection_free(struct admin_connection *c)
{
    struct admin *admin = c->admin;
    if (c->gather != NULL) {
        admin_gather_free(c->gather);
    }
    list_remove(&c->link);
    wheel_cancel(&c->timer);
    loop_forget_closing(admin->loop, &c->watch);
    close(c->watch.fd);
    free(c->body);
    free(c);
    admin_connection_over(admin);
}

static void log_dropped(const struct admin *admin, const struct sock_peer *peer)
{
    char client[SOCK_TEXT_MAX];
    sock_peer_format(peer, client);
    struct log_line line;
    log_begin(&line, admin->log, LOG_ERROR, "connection_dropped");
    log_cstr(&line, "client", client);
    log_cstr(&line, "listener", "admin");
    log_cstr(&line, "reason", "out of memory");
    log_end(&line);
}

/* False: the connection is no more. */
static bool want(struct admin_connection *c, unsigned interest)
{
    if (loop_want(c->admin->loop, &c->watch, interest)) {
        return true;
    }
    log_dropped(c->admin, &c->peer);
    admin_connection_free(c);
    return false;
}

/* What the peer still sends is read and dropped, so that no RST takes the answer from it. */
static void end(struct admin_connection *c)
{
    c->step = ADMIN_ENDING;
    (void)shutdown(c->watch.fd, SHUT_WR); /* where it is gone, reading tells */
    wheel_arm(&c->admin->wheel, &c->timer, c->admin->now_ms + ADMIN_LAST_WORDS_MS);
    (void)want(c, LOOP_READ);
}

/* One send a turn: connections take turns. */
static void write_more(struct admin_connection *c)
{
    bool in_head = c->sent < c->head_len;
    const char *from = in_head ? c->head + c->sent : c->body + (c->sent - c->head_len);
    size_t left = (in_head ? c->head_len : c->head_len + c->body_len) - c->sent;
    struct io_result result = transport_send(c->watch.fd, from, left);
    if (result.status == IO_FAIL || result.status == IO_EOF) {
        admin_connection_free(c);
        return;
    }
    c->sent += result.status == IO_OK ? result.n : 0;
    if (c->sent == c->head_len + c->body_len) {
        end(c);
    } else {
        (void)want(c, LOOP_WRITE);
    }
}

static void begin_answer(struct admin_connection *c, char *body, size_t body_len)
{
    c->step = ADMIN_WRITING;
    c->body = body;
    c->body_len = c->ask.head_only ? 0 : body_len;
    (void)want(c, LOOP_WRITE);
}

void admin_connection_answer(
    struct admin_connection *c, uint16_t status, const char *type, char *body, size_t body_len)
{
    struct text head;
    char date[HTTP_DATE_MAX];
    http_date_format((int64_t)(clock_wall_ms() / 1000), date);
    text_init(&head, c->head, sizeof c->head);
    text_addf(&head, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_status_text(status), date);
    text_addf(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body_len);
    text_addf(
        &head, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
    c->head_len = head.len;
    begin_answer(c, body, body_len);
}

void admin_connection_refuse(struct admin_connection *c, uint16_t status, const char *why)
{
    struct text head;
    char date[HTTP_DATE_MAX];
    http_date_format((int64_t)(clock_wall_ms() / 1000), date);
    text_init(&head, c->head, sizeof c->head);
    http_response_refusal(&head, status, why, c->ask.allow, date, NULL, c->ask.head_only);
    c->head_len = head.len;
    begin_answer(c, NULL, 0);
}

/* Who was kept out; typing errors of those who may are no event. */
static void log_refusal(struct admin_connection *c)
{
    if (c->ask.status != 403 && c->ask.status != 421) {
        return;
    }
    char client[SOCK_TEXT_MAX];
    sock_peer_format(&c->peer, client);
    struct log_line line;
    log_begin(&line, c->admin->log, LOG_WARNING, "admin_refused");
    log_cstr(&line, "client", client);
    log_u64(&line, "status", c->ask.status);
    log_cstr(&line, "reason", c->ask.why);
    log_end(&line);
}

static void answer_page(struct admin_connection *c)
{
    struct memory_file body = {0};
    FILE *out = memory_file_open(&body);
    bool good = out != NULL && admin_page_write(c->admin->board, c->ask.page, out);
    if (out != NULL) {
        good = memory_file_close(out) && good;
    }
    if (good) {
        admin_connection_answer(c, 200, admin_page_type(c->ask.page), body.bytes, body.len);
    } else {
        free(body.bytes);
        admin_connection_refuse(c, 500, "out of memory");
    }
}

static void answer(struct admin_connection *c)
{
    const char *why_not;
    if (c->ask.status != 0) {
        log_refusal(c);
        admin_connection_refuse(c, c->ask.status, c->ask.why);
        return;
    }
    switch (c->ask.page) {
    case ADMIN_READY:
        why_not = admin_page_not_ready(c->admin->board);
        if (why_not != NULL) {
            admin_connection_refuse(c, 503, why_not);
            return;
        }
        answer_page(c);
        return;
    case ADMIN_HEALTH:
    case ADMIN_METRICS:
    case ADMIN_WORKERS:
        answer_page(c);
        return;
    case ADMIN_SESSIONS:
    case ADMIN_SESSION:
        c->step = ADMIN_GATHERING;
        if (want(c, 0)) {
            admin_gather_start(c);
        }
        return;
    }
}

static void read_more(struct admin_connection *c)
{
    struct io_result result =
        transport_recv(c->watch.fd, c->request + c->request_len, sizeof c->request - c->request_len);
    if (result.status == IO_WANT_READ) {
        return;
    }
    if (result.status != IO_OK) {
        admin_connection_free(c);
        return;
    }
    c->request_len += result.n;
    switch (http_request_read(&c->parse, c->request, c->request_len, sizeof c->request)) {
    case HTTP_MORE:
        break;
    case HTTP_BAD:
        admin_connection_refuse(c, c->parse.status, c->parse.phrase);
        break;
    case HTTP_DONE: {
        struct admin_context context = {
            &c->admin->rules->admin, c->peer, c->admin->machine, c->admin->board->head};
        admin_http_judge(&context, &c->parse, c->request, &c->ask);
        answer(c);
        break;
    }
    }
}

static void drop_more(struct admin_connection *c)
{
    struct io_result result = transport_recv(c->watch.fd, c->request, sizeof c->request);
    if (result.status != IO_OK && result.status != IO_WANT_READ) {
        admin_connection_free(c);
    }
}

static void step(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct admin_connection *c = CONTAINER_OF(watch, struct admin_connection, watch);
    switch (c->step) {
    case ADMIN_READING:
        read_more(c);
        break;
    case ADMIN_GATHERING:
        break;
    case ADMIN_WRITING:
        write_more(c);
        break;
    case ADMIN_ENDING:
        drop_more(c);
        break;
    }
}

static void time_is_up(struct wheel_timer *timer, uint64_t now_ms)
{
    struct admin_connection *c = CONTAINER_OF(timer, struct admin_connection, timer);
    if (c->step == ADMIN_READING && c->request_len > 0) {
        wheel_arm(&c->admin->wheel, timer, now_ms + ADMIN_LAST_WORDS_MS);
        admin_connection_refuse(c, 408, "the request did not come in time");
        return;
    }
    admin_connection_free(c);
}

void admin_connection_start(struct admin *admin, int fd, const struct sock_peer *peer)
{
    struct admin_connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        log_dropped(admin, peer);
        close(fd);
        return;
    }
    c->admin = admin;
    c->peer = *peer;
    c->ask.allow = "";
    admin->connection_count++;
    list_push_back(&admin->connections, &c->link);
    loop_watch_init(&c->watch, fd, step);
    wheel_timer_init(&c->timer, time_is_up);
    wheel_arm(&admin->wheel, &c->timer, admin->now_ms + ADMIN_LIFE_MS);
    http_request_init(&c->parse);
    (void)want(c, LOOP_READ);
}
