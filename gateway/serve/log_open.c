#include "serve/log_open.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool cannot_write(const char *what, int error, char why[LOG_OPEN_WHY_MAX])
{
    (void)snprintf(why, LOG_OPEN_WHY_MAX, "cannot write %s: %s", what, strerror(error));
    return false;
}

static bool open_output(struct log *log, const struct rules *rules, char why[LOG_OPEN_WHY_MAX])
{
    int error = 0;
    switch (rules->log_output) {
    case LOG_OUTPUT_STDERR:
        break;
    case LOG_OUTPUT_FILE:
        error = log_open_file(log, rules->log_file);
        return error == 0 || cannot_write(rules->log_file, error, why);
    case LOG_OUTPUT_SYSLOG:
        error = log_open_syslog(log, LOG_SYSLOG_PATH);
        if (error != 0) {
            return cannot_write(LOG_SYSLOG_PATH, error, why);
        }
        error = log_syslog_answers(LOG_SYSLOG_PATH);
        if (error != 0) {
            (void)snprintf(why, LOG_OPEN_WHY_MAX, "%s: %s: what is logged is lost until a daemon is there",
                LOG_SYSLOG_PATH, strerror(error));
        }
        break;
    }
    return true;
}

bool log_open(
    struct log *log, const struct rules *rules, _Atomic uint64_t *tat_ns, char why[LOG_OPEN_WHY_MAX])
{
    why[0] = '\0';
    log_init(log, rules->log_level, rules->log_format);
    if (!open_output(log, rules, why)) {
        log_fini(log);
        return false;
    }
    log_limit_to(log, rules->log_rate.count, rules->log_rate.per_ms, tat_ns);
    return true;
}

int log_open_again(const char *file, char why[LOG_OPEN_WHY_MAX])
{
    int fd = log_file_fd(file);
    if (fd < 0) {
        (void)cannot_write(file, errno, why);
    }
    return fd;
}
