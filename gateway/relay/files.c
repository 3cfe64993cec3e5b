/* `files` routes: GET and HEAD of the regular files below a folder, and nothing else. */
#include "base/clock.h"
#include "proto/http_date.h"
#include "proto/http_head.h"
#include "proto/http_range.h"
#include "proto/http_response.h"
#include "relay/files_type.h"
#include "relay/session.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    NAME_MAX_BYTES = 4096,
    HEADER_MAX = 1024,
    ETAG_MAX = 64,
    PIECE_MAX = 64 * 1024, /* what a slow client has us keep of a file */
    TURN_PIECES = 4,       /* then it is the others' turn */
};

/* A file as HTTP sees it. */
struct file_facts {
    uint64_t size;
    int64_t modified_s;
    char etag[ETAG_MAX];
    const char *type;
};

/* What of it goes out. */
struct file_part {
    uint16_t status; /* 200, 206, 304 or 416 */
    uint64_t first;
    uint64_t len;
};

/* The route's pattern stands for the folder up to its last slash: with `path: /novnc/(star)` the request for
 * /novnc/vnc.html is for vnc.html. */
static struct slice below_folder(const struct route *route, struct slice path)
{
    size_t skip = 1;
    for (size_t i = 0; i < route->path_count; i++) {
        const struct path_pattern *pattern = &route->paths[i];
        if (!pattern->any && judge_path_fits(pattern, path)) {
            skip = pattern->path.len;
            while (pattern->path.p[skip - 1] != '/') {
                skip--;
            }
            break;
        }
    }
    return (struct slice){path.p + skip, path.len - skip};
}

/* No dot files, and so no dot segments; no empty segments, which would begin at the root. */
static bool is_servable(struct slice name)
{
    while (name.len > 0) {
        size_t slash = slice_find(name, '/');
        if (slash == 0 || name.p[0] == '.') {
            return false;
        }
        size_t skip = slash < name.len ? slash + 1 : slash;
        name = (struct slice){name.p + skip, name.len - skip};
    }
    return true;
}

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

/* One name after the other, none of them a link: for a system without openat2(2) (before Linux 5.6, or where
 * what confines us does not let it through). */
static int open_without_links(int root, const char *name)
{
    char segment[NAME_MAX_BYTES];
    int at = dup(root);
    while (at >= 0) {
        size_t len = strcspn(name, "/");
        bool last = name[len] == '\0' || name[len + 1] == '\0';
        (void)snprintf(segment, sizeof segment, "%.*s", (int)len, name);
        int next =
            openat(at, segment, O_NOFOLLOW | (last ? (int)OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC));
        close(at);
        if (last) {
            return next;
        }
        at = next;
        name += len + 1;
    }
    return -1;
}

/* Opens `name` below `folder`; no link leads out of it. -1 when there is nothing to serve. */
static int open_below(const char *folder, const char *name, struct stat *facts)
{
    int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return -1;
    }
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        fd = open_without_links(root, name);
    }
    int err = errno;
    close(root);
    errno = err;
    if (fd >= 0 && fstat(fd, facts) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

enum found { FOUND_FILE, FOUND_FOLDER, FOUND_NOTHING, FOUND_SHORTAGE };

/* The file for a path below the folder: itself, or its index.html. FOUND_FOLDER: a folder named without its
 * slash. */
static enum found find(
    const struct route *route, struct slice name, char file[NAME_MAX_BYTES], int *fd, struct stat *facts)
{
    bool folder = name.len == 0 || name.p[name.len - 1] == '/';
    struct text text;
    text_init(&text, file, NAME_MAX_BYTES);
    text_add(&text, name);
    if (folder) {
        text_add(&text, SLICE("index.html"));
    }
    if (text.cut || !is_servable(name)) {
        return FOUND_NOTHING;
    }
    *fd = open_below(route->files, file, facts);
    if (*fd >= 0 && S_ISREG(facts->st_mode)) {
        return FOUND_FILE;
    }
    if (*fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        return FOUND_SHORTAGE;
    }
    bool is_folder = *fd >= 0 && S_ISDIR(facts->st_mode) && !folder;
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return is_folder ? FOUND_FOLDER : FOUND_NOTHING;
}

/* RFC 9110 13.1.2: any of the list, compared weakly. */
static bool etag_listed(struct slice list, const char *etag)
{
    struct slice element;
    while (slice_next(&list, ',', &element)) {
        if (slice_starts(element, SLICE("W/"))) {
            element = (struct slice){element.p + 2, element.len - 2};
        }
        if (slice_eq(element, SLICE("*")) || slice_eq(element, slice_from(etag))) {
            return true;
        }
    }
    return false;
}

static struct slice field(const struct session *s, struct slice name)
{
    struct slice value;
    (void)http_request_field(
        &s->request->http, (const char *)buf_data(&s->request->bytes), name, &value); /* empty: none */
    return value;
}

/* RFC 9110 13.2.2: If-None-Match before If-Modified-Since. */
static bool is_unchanged(const struct session *s, const struct file_facts *facts)
{
    struct slice etags = field(s, SLICE("If-None-Match"));
    if (etags.len > 0) {
        return etag_listed(etags, facts->etag);
    }
    int64_t since_s;
    return http_date_parse(field(s, SLICE("If-Modified-Since")), &since_s) && facts->modified_s <= since_s;
}

/* RFC 9110 13.1.5: a range is given of the very file that the client has a part of. */
static bool range_applies(const struct session *s, const struct file_facts *facts)
{
    struct slice condition = field(s, SLICE("If-Range"));
    int64_t date_s;
    return condition.len == 0 || slice_eq(condition, slice_from(facts->etag)) ||
           (http_date_parse(condition, &date_s) && date_s == facts->modified_s);
}

static struct file_part choose_part(
    const struct session *s, const struct file_facts *facts, enum http_method method)
{
    struct slice range = field(s, SLICE("Range"));
    uint64_t first = 0;
    uint64_t last = 0;
    if (is_unchanged(s, facts)) {
        return (struct file_part){304, 0, 0};
    }
    if (method == HTTP_GET && range.len > 0 && range_applies(s, facts)) { /* RFC 9110 14.2: of GET alone */
        switch (http_range_read(range, facts->size, &first, &last)) {
        case HTTP_RANGE_PART:
            return (struct file_part){206, first, last - first + 1};
        case HTTP_RANGE_NONE:
            return (struct file_part){416, 0, 0};
        case HTTP_RANGE_WHOLE:
            break;
        }
    }
    return (struct file_part){200, 0, facts->size};
}

static void write_header(
    struct text *out, const struct file_facts *facts, const struct file_part *part, bool last)
{
    char date[HTTP_DATE_MAX];
    char modified[HTTP_DATE_MAX];
    http_date_format((int64_t)(clock_wall_ms() / 1000), date);
    http_date_format(facts->modified_s, modified);
    text_addf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", part->status, http_status_text(part->status), date);
    text_addf(out, "ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n", facts->etag, modified);
    /* Always asked for again, and answered 304: a page and its scripts never mix two versions. */
    text_addf(out, "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n");
    if (part->status == 416) {
        text_addf(out, "Content-Range: bytes */%llu\r\n", (unsigned long long)facts->size);
    }
    if (part->status == 206) {
        text_addf(out, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)part->first,
            (unsigned long long)(part->first + part->len - 1), (unsigned long long)facts->size);
    }
    if (part->status != 304) {
        text_addf(out, "Content-Length: %llu\r\n", (unsigned long long)part->len);
    }
    if (part->status == 200 || part->status == 206) {
        text_addf(out, "Content-Type: %s\r\n", facts->type);
    }
    text_addf(out, last ? "Connection: close\r\n\r\n" : "\r\n");
}

/* Sends the header; files_step sends what follows. */
static void begin(struct session *s, const struct http_head *head, int fd, const struct file_facts *facts)
{
    struct file_part part = choose_part(s, facts, head->method);
    bool last = head->wants_close || s->relay->leaving;
    char array[HEADER_MAX];
    struct text header;
    text_init(&header, array, sizeof array);
    write_header(&header, facts, &part, last);
    uint64_t len = head->method == HTTP_HEAD ? 0 : part.len;
    s->request->file =
        (struct file_answer){.fd = fd, .at = part.first, .end = part.first + len, .last = last};
    session_move(s, SESSION_FILE);
    enum flow_status status = flow_write(&s->client, &s->down, header.p, header.len);
    if (status == FLOW_BROKEN || status == FLOW_NO_MEMORY) {
        session_move(s, SESSION_DONE);
    }
}

/* A folder without its slash: links on its page would lead astray, so the browser is sent on. */
static void redirect(struct session *s, const struct http_head *head)
{
    char array[NAME_MAX_BYTES + HEADER_MAX];
    char date[HTTP_DATE_MAX];
    struct text answer;
    struct slice query = {head->path.p + head->path.len, head->path_and_query.len - head->path.len};
    text_init(&answer, array, sizeof array);
    http_date_format((int64_t)(clock_wall_ms() / 1000), date);
    text_addf(&answer,
        "HTTP/1.1 301 Moved Permanently\r\nDate: %s\r\nLocation: %.*s/%.*s\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n",
        date, SLICE_ARG(head->path), SLICE_ARG(query));
    session_hang_up(s);
    closing_client_write(s, flow_write(&s->client, &s->down, answer.p, answer.len));
}

void files_answer(struct session *s, const struct http_head *head, struct slice path)
{
    char file[NAME_MAX_BYTES];
    struct stat stat = {0};
    int fd = -1;
    switch (find(s->route, below_folder(s->route, path), file, &fd, &stat)) {
    case FOUND_NOTHING:
        request_refuse(s, 404, "there is no such file", NULL);
        return;
    case FOUND_SHORTAGE:
        request_refuse(s, 503, cause_phrase(CAUSE_OVERLOAD), NULL);
        return;
    case FOUND_FOLDER:
        if (slice_starts(head->path, SLICE("//"))) {
            request_refuse(s, 404, "there is no such file", NULL); /* "//host/" would name another host */
        } else {
            redirect(s, head);
        }
        return;
    case FOUND_FILE:
        break;
    }
    struct file_facts facts = {.size = (uint64_t)stat.st_size,
        .modified_s = stat.st_mtim.tv_sec,
        .type = files_type(slice_from(file))};
    (void)snprintf(facts.etag, sizeof facts.etag, "\"%llx-%llx-%llx\"", (unsigned long long)stat.st_ino,
        (unsigned long long)stat.st_mtim.tv_sec * 1000000000ULL + (unsigned long long)stat.st_mtim.tv_nsec,
        (unsigned long long)stat.st_size);
    begin(s, head, fd, &facts);
}

/* From now on; not where the gateway waits to stop. */
static void more_time(struct session *s)
{
    if (!s->relay->draining) {
        s->deadline_ms = s->relay->now_ms + s->relay->rules->handshake_ms;
        if (flow_is_blocked(&s->client, &s->down)) {
            liveness_mark(s);
        }
    }
}

void files_expired(struct session *s)
{
    if (!s->relay->draining && liveness_moves(s)) {
        more_time(s);
        return;
    }
    session_log_file_cut(s, s->relay->draining ? "gateway stops" : "client does not take it");
    session_move(s, SESSION_DONE);
}

/* Everything is sent: the connection waits for its next request, or ends. */
static void finish(struct session *s)
{
    bool last = s->request->file.last || s->relay->leaving;
    struct session_request *request = s->request;
    files_end(request);
    if (last) {
        session_hang_up(s);
        return;
    }
    buf_take(&request->bytes, request->http.head_len);
    http_request_init(&request->http);
    request->served = true;
    s->route = NULL;
    s->begun_ms = s->relay->now_ms;
    session_move(s, SESSION_REQUEST);
}

/* One piece. False: wait, or the session is done. */
static bool send_piece(struct session *s)
{
    struct file_answer *file = &s->request->file;
    uint64_t left = file->end - file->at;
    size_t cap = s->route->limits.buffer_bytes < PIECE_MAX ? s->route->limits.buffer_bytes : PIECE_MAX;
    ssize_t n;
    do {
        n = pread(file->fd, s->relay->scratch, left < cap ? (size_t)left : cap, (off_t)file->at);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) { /* the length is promised, so only the end of the connection can tell the client */
        session_log_file_cut(s, n == 0 ? "file became shorter" : "file cannot be read");
        session_move(s, SESSION_DONE);
        return false;
    }
    file->at += (uint64_t)n;
    enum flow_status status = flow_write(&s->client, &s->down, s->relay->scratch, (size_t)n);
    more_time(s);
    switch (status) {
    case FLOW_CLEAR:
        return true;
    case FLOW_BLOCKED:
        return false;
    case FLOW_BROKEN:
    case FLOW_NO_MEMORY:
        break;
    }
    session_move(s, SESSION_DONE);
    return false;
}

void files_step(struct session *s)
{
    if (flow_is_blocked(&s->client, &s->down)) {
        if ((s->client.ready & LOOP_WRITE) == 0) {
            return;
        }
        size_t before = buf_len(&s->down.kept) + s->client.io->ops->unsent(s->client.io);
        enum flow_status status = flow_flush(&s->client, &s->down);
        if (status == FLOW_BROKEN) {
            session_move(s, SESSION_DONE);
            return;
        }
        if (buf_len(&s->down.kept) + s->client.io->ops->unsent(s->client.io) < before) {
            more_time(s);
        }
        if (status != FLOW_CLEAR) {
            return;
        }
    }
    int pieces = TURN_PIECES;
    while (s->request->file.at < s->request->file.end && pieces-- > 0) {
        if (!send_piece(s)) {
            return;
        }
    }
    if (s->request->file.at == s->request->file.end && !flow_is_blocked(&s->client, &s->down)) {
        finish(s);
    }
}

void files_end(struct session_request *request)
{
    if (request->file.fd >= 0) {
        close(request->file.fd);
        request->file.fd = -1;
    }
}
