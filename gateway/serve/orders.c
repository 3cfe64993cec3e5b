#include "serve/orders.h"
#include "relay/roster.h"
#include "rules/load.h"
#include "serve/control.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* False: it takes no session, since it is none that the admin process would send. */
static bool read_filter(const struct control_filter *said, struct roster_filter *filter)
{
    *filter = (struct roster_filter){
        .id = said->id, .route = slice_from(said->route), .by_client = said->client[0] != '\0'};
    return !filter->by_client || ip_net_parse(slice_from(said->client), &filter->client, NULL);
}

/* An answer that cannot be sent is missed by who asked, in its own time. */
static void answer(struct orders *orders, const struct control_message *asked, enum control_kind kind,
    uint64_t count, int fd)
{
    struct control_message message = {
        .kind = kind, .slot = orders->slot, .request = asked->request, .count = count};
    bool sent = control_send(orders->admin.fd, &message, fd);
    (void)sent;
}

static void list(struct orders *orders, const struct control_message *asked)
{
    struct roster_filter filter;
    uint64_t count = 0;
    int fd = memfd_create("sluice-sessions", MFD_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (!read_filter(&asked->filter, &filter) || relay_list(orders->relay, &filter, fd, &count)) {
        answer(orders, asked, CONTROL_LISTED, count, fd);
    }
    close(fd);
}

static void end_sessions(struct orders *orders, const struct control_message *asked)
{
    struct roster_filter filter;
    uint64_t count = read_filter(&asked->filter, &filter) ? relay_kill(orders->relay, &filter) : 0;
    answer(orders, asked, CONTROL_KILLED, count, -1);
}

static void leave(struct orders *orders)
{
    if (orders->admin.fd >= 0) {
        loop_forget(orders->relay->net.loop, &orders->admin);
        close(orders->admin.fd);
        orders->admin.fd = -1;
    }
}

/* One at a time, so that a long list does not hold up the sessions for several. */
static void admin_speaks(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct orders *orders = CONTAINER_OF(watch, struct orders, admin);
    struct control_message message;
    int fd;
    switch (control_receive(watch->fd, &message, &fd)) {
    case CONTROL_NOTHING:
        return;
    case CONTROL_CLOSED:
        leave(orders);
        return;
    case CONTROL_GOT:
        break;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (message.kind == CONTROL_LIST) {
        list(orders, &message);
    } else if (message.kind == CONTROL_KILL) {
        end_sessions(orders, &message);
    }
}

void orders_init(struct orders *orders, struct relay *relay, unsigned slot)
{
    *orders = (struct orders){.relay = relay, .slot = slot};
    loop_watch_init(&orders->admin, -1, admin_speaks);
}

void orders_fini(struct orders *orders)
{
    leave(orders);
    orders->relay->newer = NULL;
    rules_free(orders->newer);
}

void orders_attend(struct orders *orders, int fd)
{
    leave(orders);
    loop_watch_init(&orders->admin, fd, admin_speaks);
    if (!loop_want(orders->relay->net.loop, &orders->admin, LOOP_READ)) {
        leave(orders); /* who asks is told that we are silent */
    }
}

/* ---- Revocation. */

static char *read_text(int fd, size_t *len)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0 || facts.st_size < 0) {
        return NULL;
    }
    char *text = malloc((size_t)facts.st_size + 1);
    *len = 0;
    while (text != NULL && *len < (size_t)facts.st_size) {
        ssize_t n = pread(fd, text + *len, (size_t)facts.st_size - *len, (off_t)*len);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            free(text);
            return NULL;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    return text;
}

/* Of a text that the supervisor has loaded just now: what fails here is memory. */
static struct rules *load(int fd, const char *name)
{
    struct faults faults;
    size_t len = 0;
    char *text = read_text(fd, &len);
    if (text == NULL) {
        return NULL;
    }
    faults_init(&faults);
    struct rules *rules = rules_load_text(text, len, name, &faults);
    faults_fini(&faults);
    free(text);
    return rules;
}

void orders_revoke(struct orders *orders, int fd, const char *name)
{
    struct log_line line;
    struct rules *rules = load(fd, name);
    if (rules == NULL) {
        log_begin(&line, orders->relay->log, LOG_ERROR, "not_revoked");
        log_cstr(&line, "reason", "the new configuration cannot be read: out of memory");
        log_end(&line);
        return;
    }
    uint64_t sessions = relay_revoke(orders->relay, rules);
    rules_free(orders->newer);
    orders->newer = rules;
    log_begin(&line, orders->relay->log, sessions > 0 ? LOG_INFO : LOG_DEBUG, "revoked");
    log_u64(&line, "sessions", sessions);
    log_end(&line);
}
