#include "serve/control.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool control_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

void control_set_name(struct control_message *message, const char *name)
{
    size_t len = strnlen(name, sizeof message->name - 1);
    memcpy(message->name, name, len);
    message->name[len] = '\0';
}

bool control_is_name(const struct control_message *message, const char *name)
{
    return strncmp(message->name, name, sizeof message->name - 1) == 0;
}

/* Room for one descriptor, aligned as the kernel wants it: which is room for a second one, too. */
union control_room {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

bool control_send(int end, const struct control_message *message, int fd)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    union control_room room = {0};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = room.bytes;
        header.msg_controllen = sizeof room.bytes;
        struct cmsghdr *beside = CMSG_FIRSTHDR(&header);
        beside->cmsg_level = SOL_SOCKET;
        beside->cmsg_type = SCM_RIGHTS;
        beside->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(beside), &fd, sizeof fd);
    }
    ssize_t n;
    do {
        n = sendmsg(end, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *message;
}

/* The first one. Whoever sent more is none of ours, and what the kernel gave us is closed. */
static int take_fd(struct msghdr *header)
{
    int first = -1;
    for (struct cmsghdr *beside = CMSG_FIRSTHDR(header); beside != NULL;
         beside = CMSG_NXTHDR(header, beside)) {
        bool rights = beside->cmsg_level == SOL_SOCKET && beside->cmsg_type == SCM_RIGHTS;
        for (size_t at = CMSG_LEN(0); rights && at + sizeof first <= beside->cmsg_len; at += sizeof first) {
            int fd;
            memcpy(&fd, (const char *)beside + at, sizeof fd);
            if (first < 0) {
                first = fd;
            } else {
                close(fd);
            }
        }
    }
    return first;
}

enum control_got control_receive(int end, struct control_message *message, int *fd)
{
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    union control_room room = {0};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    ssize_t n;
    *fd = -1;
    do {
        n = recvmsg(end, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return CONTROL_NOTHING;
    }
    if (n > 0) {
        *fd = take_fd(&header);
    }
    if (n == (ssize_t)sizeof *message) {
        /* What is text ends, whoever sent it. */
        message->filter.route[CONTROL_ROUTE_MAX - 1] = '\0';
        message->filter.client[CONTROL_CLIENT_MAX - 1] = '\0';
        message->name[CONTROL_NAME_MAX - 1] = '\0';
        return CONTROL_GOT;
    }
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return CONTROL_CLOSED; /* its end, its reset, or a record that is none of ours */
}
