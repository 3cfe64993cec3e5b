/* One event a line: `time level event key=value ...`, or the same as a JSON object.
 *
 * A line is built in a fixed array and written with one write(2), so lines of several processes do not mix.
 * Writing never waits for a reader: a line for which a pipe, socket or terminal has no room is lost and
 * counted, and the next one that is taken comes behind a `log_lost lines=N`, whatever the level. A line that
 * was begun is finished before any other.
 * Values are escaped: no byte of a peer can end a line, forge a key or steer a terminal. A value
 * that would pass LOG_VALUE_MAX escaped is cut and ends in "..."; a line that would pass LOG_LINE_MAX loses
 * its tail fields' bytes, never its newline. The log owns the descriptors it opened. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include "base/slice.h"
#include "base/text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 1024 };

/* How standard error is written without waiting. */
enum log_way {
    LOG_WAY_WRITE, /* a regular file, or a description of our own that does not block */
    LOG_WAY_SEND,  /* a socket */
    LOG_WAY_POLL,  /* neither: it is asked for room first */
};

struct log {
    int fd;
    enum log_level level; /* events below it are not written */
    enum log_format format;
    bool owns_fd;     /* a file's; it does not block */
    enum log_way way; /* else */
    int reopened_fd;  /* standard error once more; -1: none */
    uint64_t lost;    /* lines since the last one that was taken */
    size_t rest_len;
    char rest[LOG_LINE_MAX]; /* of a line that was begun */
};

/* Writes to standard error until log_open_file. What is behind it is shared with other processes and stays as
 * it is: a pipe or terminal is opened a second time, so this takes a descriptor. */
void log_init(struct log *log, enum log_level level, enum log_format format);

/* Appends to `path` from now on (created with mode 0640). Answers 0 or an errno; a FIFO that nobody reads is
 * ENXIO. */
int log_open_file(struct log *log, const char *path) __attribute__((warn_unused_result));

/* Tells of lost lines if that can be done at once. */
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

/* `path?query` with the values of query keys named like secrets (token, password, key, ticket, as a whole
 * name or a part of one, in any case) replaced by "***". `out` is bounded; the answer lies in it. */
struct slice log_hide_secrets(struct slice path_and_query, char *out, size_t cap);

#endif
