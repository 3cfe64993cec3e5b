#include "serve/ctl_internal.h"
#include "serve/worker.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, ANSWER_MAX = 256 * 1024 * 1024, REQUEST_MAX = 2048 };

static int open_socket(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout); /* else it may wait longer */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, address, len) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

static int open_inet(const struct endpoint *admin, char why[CTL_WHY_MAX])
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    (void)snprintf(port, sizeof port, "%u", admin->port);
    /* Where it listens on every address, it does on this machine's own. */
    const char *host = admin->host[0] == '\0' ? NULL : admin->host;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        (void)snprintf(why, CTL_WHY_MAX, "%s", gai_strerror(code));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = open_socket(at->ai_family, at->ai_addr, at->ai_addrlen);
    }
    if (fd < 0) {
        (void)snprintf(why, CTL_WHY_MAX, "%s", strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

static int open_unix(const struct endpoint *admin, char why[CTL_WHY_MAX])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", admin->path);
    int fd = open_socket(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
    if (fd < 0) {
        (void)snprintf(why, CTL_WHY_MAX, "%s", strerror(errno));
    }
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* All that comes, up to the end. NULL: errno says why. */
static char *receive_all(int fd, size_t *len)
{
    char *bytes = NULL;
    size_t cap = 0;
    *len = 0;
    for (;;) {
        if (*len + 1 >= cap) {
            cap = cap == 0 ? 65536 : 2 * cap;
            char *more = cap <= ANSWER_MAX ? realloc(bytes, cap) : NULL;
            if (more == NULL) {
                free(bytes);
                errno = ENOMEM;
                return NULL;
            }
            bytes = more;
        }
        ssize_t n = recv(fd, bytes + *len, cap - *len - 1, 0);
        if (n == 0) {
            bytes[*len] = '\0';
            return bytes;
        }
        if (n < 0 && errno != EINTR) {
            int err = errno == EAGAIN ? ETIMEDOUT : errno;
            free(bytes);
            errno = err;
            return NULL;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
}

/* "HTTP/1.1 NNN ", and a body of the length that the head says. */
static bool read_answer(struct ctl_answer *answer, size_t len)
{
    static const char name[] = "\r\nContent-Length: ";
    uint64_t status = 0;
    char *body = strstr(answer->whole, "\r\n\r\n");
    const char *length = strstr(answer->whole, name);
    if (len < 12 || strncmp(answer->whole, "HTTP/1.1 ", 9) != 0 || body == NULL || length == NULL ||
        length > body || !slice_to_u64((struct slice){answer->whole + 9, 3}, 599, &status)) {
        return false;
    }
    body += 4;
    answer->status = (unsigned)status;
    answer->body = (struct slice){body, len - (size_t)(body - answer->whole)};
    return strtoull(length + sizeof name - 1, NULL, 10) == answer->body.len;
}

static bool talk(int fd, const char *request, struct ctl_answer *answer, char why[CTL_WHY_MAX])
{
    size_t len = 0;
    if (!send_all(fd, request, strlen(request))) {
        (void)snprintf(why, CTL_WHY_MAX, "%s", strerror(errno));
        return false;
    }
    answer->whole = receive_all(fd, &len);
    if (answer->whole == NULL) {
        (void)snprintf(why, CTL_WHY_MAX, "%s", strerror(errno));
        return false;
    }
    if (!read_answer(answer, len)) {
        (void)snprintf(
            why, CTL_WHY_MAX, "what answers there is no admin listener, or ended within its answer");
        ctl_answer_fini(answer);
        return false;
    }
    return true;
}

bool ctl_ask(const struct endpoint *admin, const char *method, const char *path, const char *accept,
    struct ctl_answer *answer, char why[CTL_WHY_MAX])
{
    char request[REQUEST_MAX];
    *answer = (struct ctl_answer){0};
    int n = snprintf(request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\nConnection: close\r\n\r\n", method, path, accept);
    if (n < 0 || (size_t)n >= sizeof request) {
        (void)snprintf(why, CTL_WHY_MAX, "the request is too long");
        return false;
    }
    int fd = admin->kind == ENDPOINT_UNIX ? open_unix(admin, why) : open_inet(admin, why);
    if (fd < 0) {
        return false;
    }
    bool good = talk(fd, request, answer, why);
    close(fd);
    return good;
}

void ctl_answer_fini(struct ctl_answer *answer)
{
    free(answer->whole);
    *answer = (struct ctl_answer){0};
}

bool ctl_next_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0) {
        return false;
    }
    size_t end = slice_find(*rest, '\n');
    size_t taken = end < rest->len ? end + 1 : end;
    *line = (struct slice){rest->p, end};
    *rest = (struct slice){rest->p + taken, rest->len - taken};
    return true;
}

struct slice ctl_cut_silent(struct slice *body)
{
    const struct slice name = SLICE("# silent workers: ");
    struct slice rest = *body, line;
    while (ctl_next_line(&rest, &line)) {
        if (slice_starts(line, name)) {
            body->len = (size_t)(line.p - body->p);
            return (struct slice){line.p + name.len, line.len - name.len};
        }
    }
    return SLICE("");
}

int ctl_tell_silent(struct slice pids)
{
    if (pids.len == 0) {
        return EXIT_FINE;
    }
    (void)fprintf(stderr, "sluice: incomplete: silent workers: %.*s\n", SLICE_ARG(pids));
    return EXIT_CANNOT_RUN;
}

bool ctl_ask_fine(const struct endpoint *admin, const char *method, const char *path, const char *accept,
    struct ctl_answer *answer, int *exit_status)
{
    char why[CTL_WHY_MAX];
    *exit_status = EXIT_CANNOT_RUN;
    if (!ctl_ask(admin, method, path, accept, answer, why)) {
        char name[ENDPOINT_TEXT_MAX];
        endpoint_format(admin, name);
        (void)fprintf(stderr, "sluice: admin listener %s: %s\n", name, why);
        return false;
    }
    if (answer->status == 200) {
        return true;
    }
    struct slice line = {0};
    (void)ctl_next_line(&answer->body, &line); /* a refusal without a body: an empty line */
    (void)fprintf(stderr, "sluice: %.*s\n", SLICE_ARG(line));
    *exit_status = answer->status == 400 ? EXIT_USAGE : EXIT_CANNOT_RUN;
    ctl_answer_fini(answer);
    return false;
}
