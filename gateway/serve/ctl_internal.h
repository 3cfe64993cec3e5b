/* What the commands of `sluice ctl` share. */
#ifndef SLUICE_SERVE_CTL_INTERNAL_H
#define SLUICE_SERVE_CTL_INTERNAL_H

#include "base/endpoint.h"
#include "base/slice.h"

enum { CTL_QUERY_MAX = 1024, CTL_WHY_MAX = 256 };

/* ctl_http.c */

struct ctl_answer {
    unsigned status;
    char *whole; /* malloc'ed: head and body */
    struct slice body;
};

/* One request, one answer, at most 10 s. False: `why` says what is wrong. An answer of any status is one;
 * ctl_answer_fini frees it. */
bool ctl_ask(const struct endpoint *admin, const char *method, const char *path, const char *accept,
    struct ctl_answer *answer, char why[CTL_WHY_MAX]) __attribute__((warn_unused_result));
void ctl_answer_fini(struct ctl_answer *answer);

/* Cuts the next line off, without its end; false when none is left. */
bool ctl_next_line(struct slice *rest, struct slice *line);

/* The pids of the workers whose sessions are missing, with commas between them; empty: none is. They stand in
 * a last line of their own in what is no JSON, which is cut off. */
struct slice ctl_cut_silent(struct slice *body);
/* Says so on standard error where there are any, and what to end with then. */
int ctl_tell_silent(struct slice pids) __attribute__((warn_unused_result));

/* ctl_ask, and a fault or a status other than 200 is told on standard error; *exit_status is then what to
 * end with. */
bool ctl_ask_fine(const struct endpoint *admin, const char *method, const char *path, const char *accept,
    struct ctl_answer *answer, int *exit_status) __attribute__((warn_unused_result));

/* ctl_status.c */

/* The value of a metric's series `name`, with its labels if it has any, in the text of /metrics; 0: there is
 * none. */
double ctl_metric(struct slice text, const char *series);
/* "3d 4h", "5m 12s": the two largest units. */
void ctl_span(uint64_t seconds, char *out, size_t cap);
int ctl_status(const struct endpoint *admin) __attribute__((warn_unused_result));

/* ctl_top.c */

/* `query` is empty or begins with "?". */
int ctl_top(const struct endpoint *admin, const char *query) __attribute__((warn_unused_result));

#endif
