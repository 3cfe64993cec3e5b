/* One event a line: `time level event key=value ...`, or the same as a JSON object.
 *
 * A line is built in a fixed array and written with one write(2), alone or with others of its turn
 * (log_hold), so lines of several processes do not mix. Writing never waits for a reader: a line for which a
 * pipe, socket or terminal has no room, or a syslog daemon is not there, is lost and counted, and the next
 * one that is taken comes behind a `log_lost lines=N reason=output`, whatever the level. A line that was
 * begun is finished before any other. With log_limit_to, lines below `error` that come too fast are left out,
 * and told in the same way with `reason=rate`. Values are escaped: no byte of a peer can end a line, forge a
 * key or steer a terminal. A value that would pass LOG_VALUE_MAX escaped is cut and ends in "..."; a line
 * that would pass LOG_LINE_MAX loses its tail fields' bytes, never its newline. The log owns the descriptors
 * it opened. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include "base/log_limit.h"
#include "base/slice.h"
#include "base/text.h"
#include <sys/socket.h>
#include <sys/un.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 1024, LOG_HOST_MAX = 256 };

#define LOG_SYSLOG_PATH "/dev/log"

/* How it is written without waiting. */
enum log_way {
    LOG_WAY_WRITE,  /* a regular file, or a description of our own that does not block */
    LOG_WAY_SEND,   /* standard error is a socket */
    LOG_WAY_POLL,   /* standard error is neither: it is asked for room first */
    LOG_WAY_SYSLOG, /* a datagram to `syslog` for each line */
};

struct log {
    int fd;
    enum log_level level; /* events below it are not written */
    enum log_format format;
    enum log_way way;
    int own_fd;                   /* to be closed: a file, a socket, standard error once more; -1: none */
    uint64_t lost;                /* lines since the last one that was taken */
    uint64_t left_out;            /* by the limit, since one was within it */
    _Atomic uint64_t *lost_total; /* counts both; NULL: nobody asks */
    struct log_limit limit;
    _Atomic uint64_t *tat_ns; /* the limit's word; NULL: own_tat_ns */
    _Atomic uint64_t own_tat_ns;
    struct sockaddr_un syslog;
    char host[LOG_HOST_MAX]; /* LOG_WAY_SYSLOG: as it stands in the lines */
    size_t rest_len;
    char rest[LOG_LINE_MAX]; /* of lines that were begun */
    bool holding;
    unsigned held_lines;
    size_t held_len;
    char held[LOG_LINE_MAX]; /* whole lines, of this turn */
};

/* Writes to standard error until another output is opened. What is behind it is shared with other processes
 * and stays as it is: a pipe or terminal is opened a second time, so this takes a descriptor. */
void log_init(struct log *log, enum log_level level, enum log_format format);

/* Appends to `path` from now on (created with mode 0640); the same path once more after it was renamed opens
 * the new file. Answers 0 or an errno, and then the log stays as it was; a FIFO that nobody reads is ENXIO.
 */
int log_open_file(struct log *log, const char *path) __attribute__((warn_unused_result));

/* The same in two halves, for a process that opens the file for others: a descriptor, or -1 and errno; and
 * writing there from now on. The log owns `fd`, which is one of log_file_fd. */
int log_file_fd(const char *path) __attribute__((warn_unused_result));
void log_adopt_fd(struct log *log, int fd);

/* Sends each line as a datagram to the socket at `path` from now on (RFC 5424: facility `daemon`, the event
 * as MSGID, what follows it as MSG, with LOG_JSON all of it). A daemon that is not there, or does not keep
 * up, loses lines; one that comes (again) gets the next. Answers 0 or an errno. */
int log_open_syslog(struct log *log, const char *path) __attribute__((warn_unused_result));

/* Whether somebody receives datagrams at `path` now; 0 or an errno. */
int log_syslog_answers(const char *path) __attribute__((warn_unused_result));

/* At most `count` lines below `error` in `per_ms`, and as many at once after a pause; 0: no limit. `tat_ns`
 * is a word that starts as 0 and is shared by all who share the limit; NULL: this log alone. */
void log_limit_to(struct log *log, uint32_t count, uint32_t per_ms, _Atomic uint64_t *tat_ns);

/* From log_hold to log_release lines wait to be written together, as many as one write(2) takes whole: a turn
 * that ends many sessions makes few calls. A process that dies in between loses them. */
void log_hold(struct log *log);
void log_release(struct log *log);

/* For a child: what the parent's log owes (the rest of a line, lines to tell of) is not the child's. */
void log_forked(struct log *log);

/* Whether there are lost lines to tell of. */
bool log_owes(const struct log *log);

/* Tells of lost lines if that can be done at once; true: there are none any more. */
bool log_tell_lost(struct log *log);

/* Tells of lost lines if that can be done at once, and closes what the log owns. */
void log_fini(struct log *log);

const char *log_level_name(enum log_level level);

/* A line under construction. With log_begin on a level that is not written, the rest costs nothing. */
struct log_line {
    struct log *log; /* NULL: not written */
    struct text text;
    char array[LOG_LINE_MAX];
};

void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, struct slice value);
void log_cstr(struct log_line *line, const char *key, const char *value);
void log_u64(struct log_line *line, const char *key, uint64_t value);
void log_end(struct log_line *line);

/* `path?query` with the values of query keys named like secrets (token, password, key, ticket and the
 * like, as a whole name or a part of one, in any case) replaced by "***". `out` is bounded; the answer lies
 * in it. */
struct slice log_hide_secrets(struct slice path_and_query, char *out, size_t cap);

#endif
