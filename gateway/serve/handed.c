#include "serve/handed.h"
#include "base/slice.h"
#include "base/text.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3, SOCKETS_MAX = 4096 };

static size_t count_of_environment(void)
{
    const char *count = getenv("LISTEN_FDS");
    const char *pid = getenv("LISTEN_PID");
    uint64_t n = 0, whose = 0;
    bool ours = count != NULL && pid != NULL && slice_to_u64(slice_from(count), SOCKETS_MAX, &n) &&
                slice_to_u64(slice_from(pid), INT_MAX, &whose) && whose == (uint64_t)getpid();
    return ours ? (size_t)n : 0;
}

static bool is_listening_stream(int fd)
{
    int listens = 0, kind = 0;
    socklen_t len = sizeof listens, kind_len = sizeof kind;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &kind_len) == 0 && kind == SOCK_STREAM;
}

static bool take(struct handed_socket *socket, int fd, struct slice name, char why[HANDED_WHY_MAX])
{
    *socket = (struct handed_socket){.fd = fd};
    (void)snprintf(socket->name, sizeof socket->name, "%.*s", SLICE_ARG(name));
    if (!is_listening_stream(fd)) {
        (void)snprintf(why, HANDED_WHY_MAX, "descriptor %d (\"%.100s\") is no listening stream socket", fd,
            socket->name);
        return false;
    }
    int flags = fcntl(fd, F_GETFL);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

bool handed_init(struct handed *handed, char why[HANDED_WHY_MAX])
{
    *handed = (struct handed){0};
    size_t count = count_of_environment();
    const char *names = getenv("LISTEN_FDNAMES");
    struct slice rest = slice_from(names != NULL ? names : "");
    bool fine = true;
    (void)snprintf(why, HANDED_WHY_MAX, "out of memory");
    if (count > 0) {
        handed->sockets = calloc(count, sizeof *handed->sockets);
        fine = handed->sockets != NULL;
    }
    for (size_t i = 0; fine && i < count; i++) {
        struct slice name;
        if (!slice_next(&rest, ':', &name) || name.len == 0) {
            name = SLICE("unknown");
        }
        fine = take(&handed->sockets[i], FIRST_FD + (int)i, name, why);
        handed->count = i + 1;
    }
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    if (!fine) {
        handed_fini(handed);
    }
    return fine;
}

void handed_fini(struct handed *handed)
{
    for (size_t i = 0; i < handed->count; i++) {
        close(handed->sockets[i].fd);
    }
    free(handed->sockets);
    *handed = (struct handed){0};
}

void handed_names(const struct handed *handed, char *out, size_t cap)
{
    struct text text;
    text_init(&text, out, cap);
    for (size_t i = 0; i < handed->count; i++) {
        text_addf(&text, "%s%s", i == 0 ? "" : ", ", handed->sockets[i].name);
    }
    if (handed->count == 0) {
        text_addf(&text, "none");
    }
}
