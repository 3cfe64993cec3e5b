/* What the files of the supervisor share. One loop over poll(2): signals, control pairs, and what is due. */
#ifndef SLUICE_SERVE_SUPERVISOR_INTERNAL_H
#define SLUICE_SERVE_SUPERVISOR_INTERNAL_H

#include "serve/control.h"
#include "serve/generation.h"
#include "serve/notify.h"
#include "serve/supervisor.h"

enum {
    SUPERVISOR_SEATS = 512,
    SUPERVISOR_READY_MS = 30 * 1000, /* the workers of a new configuration have to begin within this */
    SUPERVISOR_LEAVE_MS = 2 * 1000,  /* how long the change waits for old workers to accept no more */
    SUPERVISOR_KILL_MS = 5 * 1000,   /* and end within this, when sessions are not waited for */
    SUPERVISOR_HEAR = 16,            /* messages of one process in a turn */
    SUPERVISOR_STATUS_MS = 5 * 1000,
};

enum stage {
    STAGE_STARTING,
    STAGE_SERVING,
    STAGE_DRAINING, /* nothing is accepted, sessions have their time */
    STAGE_ENDING,   /* sessions have been told to end */
    STAGE_STOPPING, /* and are not waited for */
};

/* When a process that died is forked again. */
struct seat {
    uint64_t due_ms; /* CLOCK_NEVER: it lives */
    uint64_t pause_ms;
};

/* A process of ours. */
struct member {
    struct list link;
    pid_t pid;
    bool is_admin;         /* else a worker */
    struct generation *of; /* NULL: retired, it ends by itself */
    uint32_t generation;
    unsigned slot, index; /* a worker's */
    int control;          /* -1: it has closed it */
    bool ready;
    bool suspect; /* its loop had not turned for long when it was last looked at */
    bool leaving; /* told to retire, and has not said yet that it accepts no more */
    uint64_t born_ms;
    char *log_file; /* of one that is retired: where it still writes to; NULL: no file */
};

struct supervisor {
    const char *file; /* NULL: none */
    enum stage stage;
    struct board board;
    struct sockets sockets;
    struct notify notify;
    struct list crew;        /* every process */
    struct generation *now;  /* serves; NULL while starting */
    struct generation *next; /* whose workers begin */
    uint32_t generations;    /* made */
    bool changing;           /* `now` serves, and old workers may still accept */
    bool again;              /* SIGHUP came meanwhile */
    int text_fd;             /* the text of `next`, for revocation; -1: none */
    int signals;
    int status; /* of exit */
    struct seat seats[SUPERVISOR_SEATS];
    struct seat admin_seat;
    uint64_t now_ms; /* read once a turn */
    uint64_t ready_due_ms, leave_due_ms, drain_due_ms, kill_due_ms, tickets_due_ms, status_due_ms,
        watchdog_due_ms;
    uint64_t told_sessions;
    uint64_t close_ms; /* the longest `timeouts.close` of any configuration there was */
};

/* ---- supervisor.c */
struct log *supervisor_log(struct supervisor *s);
/* Nothing is accepted any more; 503, then 1012. */
void supervisor_drain(struct supervisor *s);
/* Why it cannot go on. Ends with that status. */
void supervisor_fail(struct supervisor *s, int status);

/* ---- supervisor_crew.c: processes. */
struct member *crew_first(struct supervisor *s);
struct member *crew_next(struct supervisor *s, struct member *member); /* NULL: that was the last */
size_t crew_workers(struct supervisor *s);
/* A worker for the seat `index` of `generation`. False: `why` says. */
bool crew_fork_worker(struct supervisor *s, struct generation *generation, unsigned index, const char **why);
/* Those that are due: workers of `now`, and the admin process. */
void crew_fork_due(struct supervisor *s);
uint64_t crew_due_ms(const struct supervisor *s);
/* Looks at every process that has ended. */
void crew_reap(struct supervisor *s);
/* To one; a process that does not read what it is told is stuck, and killed. */
void crew_tell(struct supervisor *s, struct member *member, const struct control_message *message, int fd);
/* Kills a process that hangs: it costs its own sessions, and no others. */
void crew_kill_stuck(struct supervisor *s, const struct member *member);
void crew_tell_workers(struct supervisor *s, enum control_kind kind);
/* Kills what is left. */
void crew_kill(struct supervisor *s);
/* In a process just forked: closes what only the supervisor and the others have. */
void crew_forget(struct supervisor *s, struct generation *kept);

struct member *crew_member_new(struct supervisor *s, struct generation *generation);
/* It died young: later, and later each time. */
void crew_postpone(struct supervisor *s, struct seat *seat);

/* ---- supervisor_admin.c */
struct member *crew_admin(struct supervisor *s); /* NULL: there is none */
/* Behind a change from `old` (NULL: none) to `now`: an admin process that fits. */
void crew_renew_admin(struct supervisor *s, const struct generation *old);
void crew_fork_admin_due(struct supervisor *s);
/* Brings a worker and the admin process together. */
void crew_link_admin(struct supervisor *s, struct member *worker);
/* It is to end. */
void crew_end_admin(struct supervisor *s);

/* ---- supervisor_reload.c: from one configuration to the next. */
void reload_asked(struct supervisor *s);
/* `next` is whole: forks its workers. False: it has failed. */
bool reload_start(struct supervisor *s, struct generation *next);
/* Goes on where workers of `next` are ready, or old ones have left. */
void reload_progress(struct supervisor *s);
/* Kills those of `next` that hang: nothing that they could be told would end them. */
void reload_kill_unready(struct supervisor *s);
/* One has died, or time is up. */
void reload_failed(struct supervisor *s, const char *why);

#endif
