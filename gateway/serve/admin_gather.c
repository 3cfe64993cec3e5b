/* A question to every worker over its control pair: which sessions there are, or to end them. Each has two
 * seconds; who is silent is named in the answer, and the others' answers are given all the same. */
#include "serve/admin_internal.h"
#include "serve/memory_file.h"
#include "serve/sessions_json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct admin_gather {
    struct list link;
    struct admin_connection *connection;
    struct wheel_timer timer;
    uint64_t request;
    uint64_t count; /* sessions that were ended */
    unsigned waiting;
    unsigned silent_count;
    bool first; /* no session is in `out` yet */
    FILE *out;  /* into `body` */
    struct memory_file body;
    int32_t waits[BOARD_SLOTS];  /* pids of those that are waited for; 0: not */
    int32_t silent[BOARD_SLOTS]; /* pids */
};

void admin_gather_free(struct admin_gather *gather)
{
    gather->connection->admin->gather_count--;
    list_remove(&gather->link);
    wheel_cancel(&gather->timer);
    if (gather->out != NULL) {
        (void)fclose(gather->out);
    }
    free(gather->body.bytes);
    free(gather);
}

static void write_silent(const struct admin_gather *gather, FILE *out)
{
    for (unsigned i = 0; i < gather->silent_count; i++) {
        (void)fprintf(out, "%s%" PRId32, i == 0 ? "" : ",", gather->silent[i]);
    }
}

static void write_end(struct admin_gather *gather)
{
    const struct admin_ask *ask = &gather->connection->ask;
    FILE *out = gather->out;
    if (ask->plain) {
        if (ask->ends) {
            (void)fprintf(out, "ended %" PRIu64 "\n", gather->count);
        }
        if (gather->silent_count > 0) {
            (void)fputs("# silent workers: ", out);
            write_silent(gather, out);
            (void)fputc('\n', out);
        }
    } else if (ask->page == ADMIN_SESSION && !ask->ends) {
        (void)fputc('\n', out);
    } else {
        (void)fputs(ask->ends ? "" : "],", out);
        if (ask->ends) {
            (void)fprintf(out, "{\"ended\":%" PRIu64 ",", gather->count);
        }
        (void)fputs("\"silent_workers\":[", out);
        write_silent(gather, out);
        (void)fputs("]}\n", out);
    }
}

static void log_ended(const struct admin_gather *gather)
{
    const struct admin_connection *c = gather->connection;
    char client[SOCK_TEXT_MAX], id[20];
    struct text text;
    sock_peer_format(&c->peer, client);
    struct log_line line;
    log_begin(&line, c->admin->log, LOG_INFO, "sessions_killed");
    log_cstr(&line, "client", client);
    if (c->ask.filter.id != 0) {
        text_init(&text, id, sizeof id);
        text_add_hex64(&text, c->ask.filter.id);
        log_str(&line, "id", text_slice(&text));
    }
    if (c->ask.filter.route[0] != '\0') {
        log_cstr(&line, "route_filter", c->ask.filter.route);
    }
    if (c->ask.filter.client[0] != '\0') {
        log_cstr(&line, "client_filter", c->ask.filter.client);
    }
    log_u64(&line, "ended", gather->count);
    log_u64(&line, "silent_workers", gather->silent_count);
    log_end(&line);
}

static void finish(struct admin_gather *gather)
{
    struct admin_connection *c = gather->connection;
    bool one = c->ask.page == ADMIN_SESSION;
    bool none = one && (c->ask.ends ? gather->count == 0 : gather->first);
    unsigned silent = gather->silent_count;
    if (c->ask.ends) {
        log_ended(gather);
    }
    write_end(gather);
    bool good = memory_file_close(gather->out);
    char *body = gather->body.bytes;
    size_t body_len = gather->body.len;
    gather->out = NULL;
    gather->body.bytes = NULL;
    admin_gather_free(gather);
    c->gather = NULL;
    if (!good || none) {
        free(body);
        uint16_t status = !good ? 500 : silent > 0 ? 504 : 404;
        admin_connection_refuse(c, status,
            !good        ? "out of memory"
            : silent > 0 ? "a worker did not answer; none of the others has a session with this id"
                         : "no session has this id");
        return;
    }
    admin_connection_answer(
        c, 200, c->ask.plain ? "text/plain; charset=utf-8" : "application/json", body, body_len);
}

static void finish_if_done(struct admin_gather *gather)
{
    if (gather->waiting == 0) {
        finish(gather);
    }
}

static int32_t pid_of(const struct admin_gather *gather, unsigned slot)
{
    return atomic_load(&gather->connection->admin->board->head->slots[slot].pid);
}

static void is_silent(struct admin_gather *gather, unsigned slot)
{
    gather->silent[gather->silent_count++] = gather->waits[slot];
    gather->waits[slot] = 0;
    gather->waiting--;
}

static void time_is_up(struct wheel_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct admin_gather *gather = CONTAINER_OF(timer, struct admin_gather, timer);
    for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
        if (gather->waits[slot] == -1 ||
            (gather->waits[slot] != 0 && pid_of(gather, slot) == gather->waits[slot])) {
            is_silent(gather, slot);
        }
    }
    finish(gather);
}

/* The bytes of a list; NULL: it cannot be read. It is read rather than mapped, since who made it could cut it
 * under our hands, and looked at first, since what is no file could block us. */
static char *read_list(int fd, size_t *len)
{
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size > ADMIN_LIST_MAX) {
        return NULL;
    }
    size_t size = (size_t)facts.st_size;
    char *bytes = malloc(size + 1);
    *len = 0;
    while (bytes != NULL && *len < size) {
        ssize_t n = pread(fd, bytes + *len, size - *len, (off_t)*len);
        if (n > 0) {
            *len += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            free(bytes); /* half a list is none */
            return NULL;
        }
    }
    return bytes;
}

static bool take_list(struct admin_gather *gather, int fd)
{
    size_t len;
    char *bytes = read_list(fd, &len);
    if (bytes == NULL) {
        return false;
    }
    if (gather->connection->ask.plain) {
        sessions_json_table((struct slice){bytes, len}, gather->out);
        gather->first = gather->first && len == 0;
    } else {
        sessions_json_list((struct slice){bytes, len}, &gather->first, gather->out);
    }
    free(bytes);
    return true;
}

void admin_gather_answered(struct admin *admin, unsigned slot, const struct control_message *message, int fd)
{
    for (struct list *at = admin->gathers.next; at != &admin->gathers; at = at->next) {
        struct admin_gather *gather = CONTAINER_OF(at, struct admin_gather, link);
        bool ends = gather->connection->ask.ends;
        if (gather->request != message->request || gather->waits[slot] == 0) {
            continue;
        }
        bool good = message->kind == (ends ? CONTROL_KILLED : CONTROL_LISTED);
        if (!good || (!ends && !take_list(gather, fd))) {
            is_silent(gather, slot); /* it said nothing that could be used */
        } else {
            gather->count += message->count;
            gather->waits[slot] = 0;
            gather->waiting--;
        }
        finish_if_done(gather);
        return;
    }
}

void admin_gather_gone(struct admin *admin, unsigned slot)
{
    struct list *next;
    for (struct list *at = admin->gathers.next; at != &admin->gathers; at = next) {
        struct admin_gather *gather = CONTAINER_OF(at, struct admin_gather, link);
        next = at->next;
        if (gather->waits[slot] != 0) {
            gather->waits[slot] = 0;
            gather->waiting--;
            finish_if_done(gather);
        }
    }
}

static void wait_for(struct admin_gather *gather, unsigned slot, int32_t pid)
{
    gather->waits[slot] = pid > 0 ? pid : -1; /* it has a link, and is in between */
    gather->waiting++;
}

/* Where there was no pair to be had for a worker, it cannot be asked, and is waited for in vain: unless it is
 * about to be reaped. */
static void ask_all(struct admin_gather *gather)
{
    struct admin *admin = gather->connection->admin;
    const struct admin_ask *ask = &gather->connection->ask;
    struct control_message message = {
        .kind = ask->ends ? CONTROL_KILL : CONTROL_LIST, .request = gather->request, .filter = ask->filter};
    int32_t serves[BOARD_SLOTS]; /* pids */
    for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
        bool ready = atomic_load(&admin->board->head->slots[slot].ready);
        serves[slot] = ready ? pid_of(gather, slot) : 0;
    }
    admin_listen(admin); /* the pairs to all of these were sent before */
    for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
        message.slot = slot;
        if (admin->links[slot] == NULL) {
            if (serves[slot] > 0) {
                wait_for(gather, slot, serves[slot]);
            }
            continue;
        }
        wait_for(gather, slot, pid_of(gather, slot));
        if (!control_send(admin->links[slot]->watch.fd, &message, -1)) {
            is_silent(gather, slot);
        }
    }
}

void admin_gather_start(struct admin_connection *c)
{
    struct admin *admin = c->admin;
    if (admin->gather_count >= ADMIN_GATHERS) {
        admin_connection_refuse(c, 503, "too many questions about sessions at once");
        return;
    }
    struct admin_gather *gather = calloc(1, sizeof *gather);
    if (gather == NULL) {
        admin_connection_refuse(c, 500, "out of memory");
        return;
    }
    *gather = (struct admin_gather){.connection = c, .request = ++admin->next_request, .first = true};
    c->gather = gather;
    admin->gather_count++;
    list_push_back(&admin->gathers, &gather->link);
    wheel_timer_init(&gather->timer, time_is_up);
    gather->out = memory_file_open(&gather->body);
    if (gather->out == NULL) {
        c->gather = NULL;
        admin_gather_free(gather);
        admin_connection_refuse(c, 500, "out of memory");
        return;
    }
    if (!c->ask.ends && c->ask.plain) {
        sessions_json_table_head(gather->out);
    } else if (!c->ask.ends && c->ask.page == ADMIN_SESSIONS) {
        (void)fputs("{\"sessions\":[", gather->out);
    }
    wheel_arm(&admin->wheel, &gather->timer, admin->now_ms + ADMIN_WORKER_MS);
    ask_all(gather);
    finish_if_done(gather);
}
