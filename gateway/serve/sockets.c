#include "serve/sockets.h"
#include "base/text.h"
#include "net/sock.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sockets_init(struct sockets *sockets, struct handed handed)
{
    list_init(&sockets->entries);
    sockets->handed = handed;
}

static void close_entry(struct socket_entry *entry)
{
    while (entry->count > 0) {
        entry->count--;
        if (!entry->handed) {
            close(entry->fds[entry->count]);
        }
    }
}

static void entry_free(struct socket_entry *entry)
{
    bool opened = entry->begun > 0;
    close_entry(entry);
    if (!entry->handed && opened && entry->endpoint.kind == ENDPOINT_UNIX) {
        (void)unlink(entry->endpoint.path); /* gone already: as well */
    }
    list_remove(&entry->link);
    free(entry->fds);
    free(entry);
}

void sockets_fini(struct sockets *sockets)
{
    while (!list_empty(&sockets->entries)) {
        entry_free(CONTAINER_OF(sockets->entries.next, struct socket_entry, link));
    }
    handed_fini(&sockets->handed);
}

void sockets_close(struct sockets *sockets)
{
    for (struct list *at = sockets->entries.next; at != &sockets->entries; at = at->next) {
        close_entry(CONTAINER_OF(at, struct socket_entry, link));
    }
    handed_fini(&sockets->handed);
}

static struct socket_entry *find(const struct sockets *sockets, const char *address, unsigned nth)
{
    for (struct list *at = sockets->entries.next; at != &sockets->entries; at = at->next) {
        struct socket_entry *entry = CONTAINER_OF(at, struct socket_entry, link);
        if (entry->nth == nth && strcmp(entry->address, address) == 0) {
            return entry;
        }
    }
    return NULL;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return sock_peer_from(&address).port;
}

/* An address that overlaps one that we listen on, as :80 does 127.0.0.1:80, can only be bound beside it. */
static enum sock_sharing sharing_of(const struct sockets *sockets, const struct endpoint *endpoint)
{
    for (struct list *at = sockets->entries.next; at != &sockets->entries; at = at->next) {
        const struct socket_entry *entry = CONTAINER_OF(at, struct socket_entry, link);
        if (endpoint->kind == ENDPOINT_INET && endpoint->port != 0 && entry->per_worker && entry->count > 0 &&
            port_of(entry->fds[0]) == endpoint->port) {
            return SOCK_BESIDE;
        }
    }
    return SOCK_ALONE;
}

static bool add_fd(struct socket_entry *entry, int fd)
{
    int *fds = reallocarray(entry->fds, entry->count + 1, sizeof *fds);
    if (fds == NULL) {
        return false;
    }
    entry->fds = fds;
    fds[entry->count++] = fd;
    return true;
}

/* By the umask, so that the file never has another mode. */
static int listen_with_mode(const struct sockets *sockets, const struct socket_entry *entry,
    char bound[ENDPOINT_TEXT_MAX], char said[SOCK_TEXT_MAX])
{
    enum sock_sharing sharing = sharing_of(sockets, &entry->endpoint);
    if (entry->mode == 0) {
        return sock_listen(&entry->endpoint, sharing, bound, said);
    }
    mode_t usual = umask(0777 & ~(mode_t)entry->mode);
    int fd = sock_listen(&entry->endpoint, sharing, bound, said);
    (void)umask(usual);
    return fd;
}

static bool open_address(const struct sockets *sockets, struct socket_entry *entry, char why[SOCKETS_WHY_MAX])
{
    char said[SOCK_TEXT_MAX], bound[ENDPOINT_TEXT_MAX];
    int fd = listen_with_mode(sockets, entry, bound, said);
    if (fd < 0) {
        (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on %s: %s", entry->address, said);
        return false;
    }
    (void)snprintf(entry->bound, sizeof entry->bound, "%s", bound);
    if (!add_fd(entry, fd)) {
        close(fd);
        (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on %s: out of memory", entry->address);
        return false;
    }
    entry->begun = 1;
    return true;
}

static void format_bound(int fd, char bound[SOCKETS_BOUND_MAX])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    struct text text;
    char name[SOCK_TEXT_MAX];
    text_init(&text, bound, SOCKETS_BOUND_MAX);
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        struct sock_peer self = sock_peer_from(&address);
        sock_peer_format(&self, name);
        text_addf(&text, "%s", name);
    }
}

/* Several sockets may have one name: they are one listener. */
static bool find_handed(
    const struct sockets *sockets, struct socket_entry *entry, const char *name, char why[SOCKETS_WHY_MAX])
{
    const struct handed *handed = &sockets->handed;
    for (size_t i = 0; i < handed->count; i++) {
        if (strcmp(handed->sockets[i].name, name) != 0) {
            continue;
        }
        if (!add_fd(entry, handed->sockets[i].fd)) {
            (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on fd:%s: out of memory", name);
            return false;
        }
        sock_no_delay(handed->sockets[i].fd); /* as sock_listen has it: what it accepts inherits it */
    }
    if (entry->count == 0) {
        char names[SOCKETS_WHY_MAX / 2];
        handed_names(handed, names, sizeof names);
        (void)snprintf(why, SOCKETS_WHY_MAX,
            "cannot listen on fd:%.100s: the service manager handed over no socket of that name (but: %s)",
            name, names);
        return false;
    }
    format_bound(entry->fds[0], entry->bound);
    entry->begun = entry->count;
    return true;
}

static struct socket_entry *entry_new(
    struct sockets *sockets, const struct sockets_wish *wish, const char *key, char why[SOCKETS_WHY_MAX])
{
    struct socket_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on %s: out of memory", key);
        return NULL;
    }
    (void)snprintf(entry->address, sizeof entry->address, "%s", key);
    entry->nth = wish->nth;
    entry->handed = wish->fd_name != NULL;
    if (!entry->handed) {
        entry->endpoint = *wish->address;
        entry->mode = wish->mode;
        entry->per_worker = wish->address->kind == ENDPOINT_INET;
    }
    list_init(&entry->link);
    bool fine =
        entry->handed ? find_handed(sockets, entry, wish->fd_name, why) : open_address(sockets, entry, why);
    if (!fine) {
        entry_free(entry);
        return NULL;
    }
    list_push_back(&sockets->entries, &entry->link);
    return entry;
}

static bool grow(struct socket_entry *entry, size_t workers, char why[SOCKETS_WHY_MAX])
{
    while (entry->per_worker && entry->count < workers) {
        char said[SOCK_TEXT_MAX];
        int fd = sock_bind_beside(entry->fds[0], said);
        if (fd < 0 || !add_fd(entry, fd)) {
            (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on %s: %s", entry->address,
                fd < 0 ? said : "out of memory");
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
    }
    return true;
}

struct socket_entry *sockets_use(struct sockets *sockets, struct sockets_wish wish, char why[SOCKETS_WHY_MAX])
{
    char key[ENDPOINT_TEXT_MAX];
    if (wish.fd_name != NULL) {
        (void)snprintf(key, sizeof key, "fd:%s", wish.fd_name);
    } else {
        endpoint_format(wish.address, key);
    }
    struct socket_entry *entry = find(sockets, key, wish.nth);
    if (entry == NULL) {
        entry = entry_new(sockets, &wish, key, why);
    }
    if (entry == NULL) {
        return NULL;
    }
    entry->users++;
    if (!grow(entry, wish.workers, why)) {
        sockets_leave(entry);
        return NULL;
    }
    return entry;
}

bool sockets_begin(struct socket_entry *entry, char why[SOCKETS_WHY_MAX])
{
    for (; entry->begun < entry->count; entry->begun++) {
        char said[SOCK_TEXT_MAX];
        if (!sock_begin(entry->fds[entry->begun], said)) {
            (void)snprintf(why, SOCKETS_WHY_MAX, "cannot listen on %s: %s", entry->address, said);
            return false;
        }
    }
    return true;
}

void sockets_commit(struct socket_entry *entry, uint32_t mode)
{
    entry->served = entry->count;
    if (mode != 0 && mode != entry->mode &&
        fchmodat(AT_FDCWD, entry->endpoint.path, (mode_t)mode, AT_SYMLINK_NOFOLLOW) == 0) {
        entry->mode = mode; /* if not, somebody has taken the file away */
    }
}

void sockets_leave(struct socket_entry *entry)
{
    while (entry->served > 0 && entry->count > entry->served) {
        close(entry->fds[--entry->count]);
    }
    if (--entry->users == 0) {
        entry_free(entry);
    }
}

bool sockets_is_served(const struct socket_entry *entry, size_t i, struct sockets_share share)
{
    size_t count = share.committed ? entry->served : entry->count;
    return i < count && (!entry->per_worker || i % share.workers == share.index);
}

void sockets_close_others(
    struct sockets *sockets, struct socket_entry *const *kept, size_t count, struct sockets_share share)
{
    for (struct list *at = sockets->entries.next; at != &sockets->entries; at = at->next) {
        const struct socket_entry *entry = CONTAINER_OF(at, struct socket_entry, link);
        bool keeps = false;
        for (size_t i = 0; i < count; i++) {
            keeps = keeps || kept[i] == entry;
        }
        for (size_t i = 0; i < entry->count; i++) {
            if (!entry->handed && !(keeps && sockets_is_served(entry, i, share))) {
                close(entry->fds[i]);
            }
        }
    }
    for (size_t i = 0; i < sockets->handed.count; i++) {
        bool keeps = false;
        for (size_t k = 0; k < count; k++) {
            for (size_t f = 0; kept[k]->handed && f < kept[k]->count; f++) {
                keeps = keeps || kept[k]->fds[f] == sockets->handed.sockets[i].fd;
            }
        }
        if (!keeps) {
            close(sockets->handed.sockets[i].fd);
        }
    }
}
