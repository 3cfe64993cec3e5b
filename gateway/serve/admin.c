#include "serve/admin.h"
#include "base/clock.h"
#include "net/transport.h"
#include "serve/admin_internal.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 16, PAUSE_MS = 100 };

/* The oldest of those whose request is not whole; NULL: all are being answered. */
static struct admin_connection *slowest(const struct admin *admin)
{
    for (struct list *at = admin->connections.next; at != &admin->connections; at = at->next) {
        struct admin_connection *c = CONTAINER_OF(at, struct admin_connection, link);
        if (c->step == ADMIN_READING) {
            return c;
        }
    }
    return NULL;
}

static bool has_room(const struct admin *admin)
{
    return admin->connection_count < ADMIN_CONNECTIONS || slowest(admin) != NULL;
}

static void want_clients(struct admin *admin)
{
    if (!loop_want(admin->loop, &admin->listener, has_room(admin) ? LOOP_READ : 0)) {
        wheel_arm(&admin->wheel, &admin->pause, admin->now_ms + PAUSE_MS);
    }
}

static void pause_over(struct wheel_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    want_clients(CONTAINER_OF(timer, struct admin, pause));
}

void admin_connection_over(struct admin *admin)
{
    admin->connection_count--;
    if (!wheel_armed(&admin->pause) && !admin->over) {
        want_clients(admin);
    }
}

static void clients_wait(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct admin *admin = CONTAINER_OF(watch, struct admin, listener);
    for (int i = 0; i < BATCH && has_room(admin); i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        int fd = accept4(watch->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct sock_peer peer = sock_peer_from(&address);
            if (admin->connection_count == ADMIN_CONNECTIONS) {
                admin_connection_free(slowest(admin)); /* who says nothing keeps no probe out */
            }
            admin_connection_start(admin, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            loop_forget(admin->loop, watch);
            wheel_arm(&admin->wheel, &admin->pause, admin->now_ms + PAUSE_MS);
            return;
        } else {
            break; /* nobody is left, or one connection died in the queue: the loop tells of others */
        }
    }
    want_clients(admin);
}

static void drop_link(struct admin *admin, unsigned slot)
{
    struct admin_link *link = admin->links[slot];
    if (link == NULL) {
        return;
    }
    admin->links[slot] = NULL;
    loop_forget_closing(admin->loop, &link->watch);
    close(link->watch.fd);
    free(link);
    admin_gather_gone(admin, slot);
}

static void worker_speaks(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct admin_link *link = CONTAINER_OF(watch, struct admin_link, watch);
    struct control_message message;
    int fd = -1;
    enum control_got got = control_receive(watch->fd, &message, &fd);
    if (got == CONTROL_CLOSED) {
        drop_link(link->admin, link->slot);
    } else if (got == CONTROL_GOT) {
        admin_gather_answered(link->admin, link->slot, &message, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Takes the descriptor. A worker that cannot be watched is not asked: sessions of its are then missing, which
 * the log tells. */
static void add_link(struct admin *admin, unsigned slot, int fd)
{
    drop_link(admin, slot);
    struct admin_link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        *link = (struct admin_link){.admin = admin, .slot = slot};
        loop_watch_init(&link->watch, fd, worker_speaks);
        if (loop_want(admin->loop, &link->watch, LOOP_READ)) {
            admin->links[slot] = link;
            return;
        }
    }
    free(link);
    close(fd);
    struct log_line line;
    log_begin(&line, admin->log, LOG_ERROR, "admin_worker_lost");
    log_cstr(&line, "reason", "out of memory or descriptors");
    log_u64(&line, "slot", slot);
    log_end(&line);
}

/* Takes the descriptor. */
static void follow(struct admin *admin, const struct control_message *message, int fd)
{
    if (fd >= 0 && message->kind == CONTROL_WORKER && message->slot < BOARD_SLOTS) {
        add_link(admin, message->slot, fd);
    } else if (fd >= 0 && message->kind == CONTROL_LOG) {
        log_adopt_fd(admin->log, fd);
    } else if (fd >= 0) {
        close(fd);
    } else if (message->kind == CONTROL_SERVE) {
        want_clients(admin);
    }
}

void admin_listen(struct admin *admin)
{
    while (!admin->over) {
        struct control_message message;
        int fd = -1;
        switch (control_receive(admin->control.fd, &message, &fd)) {
        case CONTROL_GOT:
            follow(admin, &message, fd);
            break;
        case CONTROL_NOTHING:
            return;
        case CONTROL_CLOSED:
            admin->over = true;
            return;
        }
    }
}

static void supervisor_speaks(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    admin_listen(CONTAINER_OF(watch, struct admin, control));
}

/* A terminal's ^C goes to every process of the group, and this one is to answer until the last session is
 * over. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool open_all(struct admin *admin, int socket_fd, int control_fd)
{
    list_init(&admin->connections);
    list_init(&admin->gathers);
    admin->now_ms = clock_now_ms();
    wheel_init(&admin->wheel, admin->now_ms);
    wheel_timer_init(&admin->pause, pause_over);
    if (gethostname(admin->machine, sizeof admin->machine - 1) != 0) {
        admin->machine[0] = '\0'; /* then it is no good Host */
    }
    loop_watch_init(&admin->listener, socket_fd, clients_wait);
    loop_watch_init(&admin->control, control_fd, supervisor_speaks);
    admin->loop = loop_new(LOOP_AUTO);
    struct control_message ready = {.kind = CONTROL_READY};
    return admin->loop != NULL && loop_want(admin->loop, &admin->control, LOOP_READ) &&
           control_send(control_fd, &ready, -1);
}

static void close_all(struct admin *admin)
{
    admin->over = true;
    while (!list_empty(&admin->connections)) {
        admin_connection_free(CONTAINER_OF(admin->connections.next, struct admin_connection, link));
    }
    for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
        drop_link(admin, slot);
    }
    if (admin->loop != NULL) {
        loop_forget(admin->loop, &admin->listener);
        loop_forget(admin->loop, &admin->control);
    }
    loop_free(admin->loop);
}

int admin_run(
    const struct rules *rules, struct log *log, const struct board *board, int socket_fd, int control_fd)
{
    int status = 0;
    block_signals();
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL) {
        return 1;
    }
    *admin = (struct admin){.rules = rules, .log = log, .board = board};
    if (!open_all(admin, socket_fd, control_fd)) {
        struct log_line line;
        log_begin(&line, log, LOG_ERROR, "admin_failed");
        log_cstr(&line, "reason", strerror(errno));
        log_end(&line);
        status = 1;
    }
    while (status == 0 && !admin->over) {
        loop_wait(admin->loop, wheel_timeout_ms(&admin->wheel, clock_now_ms(), -1));
        admin->now_ms = clock_now_ms();
        loop_dispatch(admin->loop);
        wheel_run(&admin->wheel, admin->now_ms);
    }
    close_all(admin);
    free(admin);
    return status;
}
