#include "base/log_output.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So that a pipe takes a line whole or not at all. */
_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is written atomically");

/* ---- Standard error. */

/* O_NONBLOCK belongs to the open file description, and standard error's is shared with whoever started us; a
 * second opening of the same pipe or terminal has one of its own. */
static void find_way(struct log *log)
{
    struct stat st;
    log->way = LOG_WAY_WRITE;
    if (fstat(STDERR_FILENO, &st) != 0 || S_ISREG(st.st_mode)) {
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        log->way = LOG_WAY_SEND;
        return;
    }
    log->own_fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (log->own_fd >= 0) {
        log->fd = log->own_fd;
    } else {
        log->way = LOG_WAY_POLL; /* no /proc, no permission, or nobody reads it at the moment */
    }
}

void log_init(struct log *log, enum log_level level, enum log_format format)
{
    *log = (struct log){.fd = STDERR_FILENO, .level = level, .format = format, .own_fd = -1};
    find_way(log);
}

void log_fini(struct log *log)
{
    log_release(log);
    (void)log_tell_lost(log); /* else the count stays, for the next output */
    if (log->own_fd >= 0) {
        close(log->own_fd);
    }
    log->fd = STDERR_FILENO;
    log->way = LOG_WAY_POLL;
    log->own_fd = -1;
    log->rest_len = 0;
}

void log_forked(struct log *log)
{
    log->lost = 0;
    log->left_out = 0;
    log->rest_len = 0;
    log->held_len = log->held_lines = 0;
}

/* ---- Files. */

int log_file_fd(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
}

void log_adopt_fd(struct log *log, int fd)
{
    log_fini(log);
    log->fd = fd;
    log->own_fd = fd;
    log->way = LOG_WAY_WRITE;
}

int log_open_file(struct log *log, const char *path)
{
    int fd = log_file_fd(path);
    if (fd < 0) {
        return errno;
    }
    log_adopt_fd(log, fd);
    return 0;
}

/* ---- Syslog. Each line is sent to the socket's name, so that a daemon that was started again is found by
 * the next one. */

static int syslog_address(struct sockaddr_un *address, const char *path)
{
    size_t len = strlen(path);
    if (len >= sizeof(address->sun_path)) {
        return ENAMETOOLONG;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, len);
    return 0;
}

static int syslog_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* RFC 5424 6.2.4: printable ASCII or "-". */
static void find_host(struct log *log)
{
    if (gethostname(log->host, sizeof(log->host)) != 0) {
        log->host[0] = '\0';
    }
    log->host[sizeof(log->host) - 1] = '\0';
    for (const char *c = log->host; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            log->host[0] = '\0';
            break;
        }
    }
    if (log->host[0] == '\0') {
        memcpy(log->host, "-", 2);
    }
}

int log_open_syslog(struct log *log, const char *path)
{
    struct sockaddr_un address;
    int error = syslog_address(&address, path);
    if (error != 0) {
        return error;
    }
    int fd = syslog_socket();
    if (fd < 0) {
        return errno;
    }
    log_adopt_fd(log, fd);
    log->way = LOG_WAY_SYSLOG;
    log->syslog = address;
    find_host(log);
    return 0;
}

int log_syslog_answers(const char *path)
{
    struct sockaddr_un address;
    int error = syslog_address(&address, path);
    if (error != 0) {
        return error;
    }
    int fd = syslog_socket();
    if (fd < 0) {
        return errno;
    }
    error = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* ---- Writing. */

/* write(2), but with EAGAIN where that would wait. */
static ssize_t write_now(const struct log *log, const char *p, size_t len)
{
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    switch (log->way) {
    case LOG_WAY_SEND:
        return send(log->fd, p, len, flags);
    case LOG_WAY_SYSLOG:
        return sendto(log->fd, p, len, flags, (const struct sockaddr *)&log->syslog, sizeof(log->syslog));
    case LOG_WAY_POLL: {
        /* Room for a page, unless another process takes it in between. */
        struct pollfd one = {.fd = log->fd, .events = POLLOUT};
        if (poll(&one, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
        break;
    }
    case LOG_WAY_WRITE:
        break;
    }
    return write(log->fd, p, len);
}

/* Answers how many bytes were taken. */
static size_t write_bytes(const struct log *log, const char *p, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write_now(log, p + done, len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return done;
}

bool log_output_write(struct log *log, struct slice line)
{
    if (log->rest_len > 0) {
        size_t done = write_bytes(log, log->rest, log->rest_len);
        log->rest_len -= done;
        memmove(log->rest, log->rest + done, log->rest_len);
        if (log->rest_len > 0) {
            return false;
        }
    }
    size_t done = write_bytes(log, line.p, line.len);
    if (done == 0) {
        return false;
    }
    log->rest_len = line.len - done;
    memcpy(log->rest, line.p + done, log->rest_len);
    return true;
}
