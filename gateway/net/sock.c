#include "net/sock.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct sock_peer sock_peer_from(const struct sockaddr_storage *address)
{
    struct sock_peer peer = {0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        peer.addr.bytes[10] = 0xFF;
        peer.addr.bytes[11] = 0xFF;
        memcpy(peer.addr.bytes + 12, &in->sin_addr, 4);
        peer.port = ntohs(in->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(peer.addr.bytes, &in6->sin6_addr, 16);
        peer.port = ntohs(in6->sin6_port);
    } else {
        peer.is_unix = true;
    }
    return peer;
}

struct sock_peer sock_self(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return (struct sock_peer){.is_unix = true};
    }
    return sock_peer_from(&address);
}

void sock_peer_format(const struct sock_peer *peer, char out[SOCK_TEXT_MAX])
{
    struct text text;
    text_init(&text, out, SOCK_TEXT_MAX);
    if (peer->is_unix) {
        text_add(&text, SLICE("unix"));
        return;
    }
    char ip[IP_TEXT_MAX];
    bool brackets = peer->port != 0 && !ip_is_v4(&peer->addr);
    ip_format(&peer->addr, ip);
    text_add(&text, brackets ? SLICE("[") : SLICE(""));
    text_add_cstr(&text, ip);
    text_add(&text, brackets ? SLICE("]") : SLICE(""));
    if (peer->port != 0) {
        text_add(&text, SLICE(":"));
        text_add_u64(&text, peer->port);
    }
}

void sock_no_delay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* not TCP: nothing to hold back */
}

static int whole_seconds(uint64_t span_ms, uint64_t most_s)
{
    uint64_t seconds = span_ms / 1000 + (span_ms % 1000 != 0);
    return (int)(seconds == 0 ? 1 : seconds > most_s ? most_s : seconds);
}

void sock_keep_alive(int fd, uint64_t quiet_ms, uint64_t answer_ms)
{
    enum { PROBES = 4, MOST_S = 32767 }; /* what tcp(7) takes */
    int on = 1;
    int probes = PROBES;
    int quiet_s = whole_seconds(quiet_ms, MOST_S);
    int pause_s = whole_seconds(answer_ms / PROBES, MOST_S);
    /* The time to be quiet last: only set behind SO_KEEPALIVE it counts what was quiet already. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause_s, sizeof pause_s) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &quiet_s, sizeof quiet_s);
    }
}

bool sock_is_unanswered(int fd, uint64_t span_ms)
{
    enum { PROBES = 3, US_PER_MS = 1000 }; /* one or two may have been lost */
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_last_ack_recv < span_ms) {
        return false;
    }
    /* A peer that lives answers each try before the next one, which is a time-out later. */
    uint64_t try_ms = ((uint64_t)info.tcpi_rto + 2 * (uint64_t)info.tcpi_rtt) / US_PER_MS;
    bool tried = info.tcpi_unacked > 0 && info.tcpi_retransmits > 0 && info.tcpi_last_ack_recv > try_ms;
    return tried || info.tcpi_probes >= PROBES;
}

uint64_t sock_acked_bytes(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_acked : 0;
}

struct sock_facts sock_tcp_facts(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        return (struct sock_facts){0, 0};
    }
    return (struct sock_facts){info.tcpi_rtt, info.tcpi_total_retrans};
}

size_t sock_unacked_bytes(int fd)
{
    int queued = 0;
    return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (size_t)queued : 0;
}

static int fail(int fd, char why[SOCK_TEXT_MAX], const char *step, int err)
{
    (void)snprintf(why, SOCK_TEXT_MAX, "%s: %s", step, strerror(err));
    if (fd >= 0) {
        close(fd);
    }
    errno = err;
    return -1;
}

/* Whether a socket file is left over from a process that is gone. Only a socket can be: connecting to any
 * other kind of file is refused as well, and that file is somebody's. A full backlog answers EAGAIN: it is in
 * use. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat facts;
    if (lstat(address->sun_path, &facts) != 0 || !S_ISSOCK(facts.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    int answer = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool stale = answer != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int listen_unix(const struct endpoint *endpoint, char why[SOCK_TEXT_MAX])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(fd, why, "socket", errno);
    }
    int err = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    if (err == EADDRINUSE && is_stale(&address)) {
        bool removed = unlink(address.sun_path) == 0;
        err = removed && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    }
    if (err != 0) {
        return fail(fd, why, "bind", err);
    }
    return listen(fd, BACKLOG) == 0 ? fd : fail(fd, why, "listen", errno);
}

static void share_port(int fd)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); /* if not, sock_bind_beside fails */
}

/* A socket that is bound alone lets others in behind itself: so an address that another process has is still
 * told as in use, though our own workers share it. */
static int bind_inet(
    const struct sockaddr *address, socklen_t len, enum sock_sharing sharing, char why[SOCK_TEXT_MAX])
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(fd, why, "socket", errno);
    }
    int on = 1;
    int off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sock_no_delay(fd); /* what it accepts inherits it */
    if (address->sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* [::] takes IPv4 as well */
    }
    if (sharing == SOCK_BESIDE) {
        share_port(fd);
    }
    if (bind(fd, address, len) != 0) {
        return fail(fd, why, "bind", errno);
    }
    if (sharing == SOCK_ALONE) {
        share_port(fd);
    }
    return fd;
}

int sock_bind_beside(int fd, char why[SOCK_TEXT_MAX])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return fail(-1, why, "getsockname", errno);
    }
    return bind_inet((const struct sockaddr *)&address, len, SOCK_BESIDE, why);
}

bool sock_begin(int fd, char why[SOCK_TEXT_MAX])
{
    if (listen(fd, BACKLOG) != 0) {
        (void)snprintf(why, SOCK_TEXT_MAX, "listen: %s", strerror(errno));
        return false;
    }
    return true;
}

static int listen_inet(const struct addrinfo *address, enum sock_sharing sharing, char why[SOCK_TEXT_MAX])
{
    int fd = bind_inet(address->ai_addr, address->ai_addrlen, sharing, why);
    if (fd < 0) {
        return -1;
    }
    return listen(fd, BACKLOG) == 0 ? fd : fail(fd, why, "listen", errno);
}

/* Every address of the name in turn. */
static int listen_name(const char *host, uint16_t port, enum sock_sharing sharing, char why[SOCK_TEXT_MAX])
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    int error = getaddrinfo(host, service, &hints, &found);
    if (error != 0) {
        (void)snprintf(why, SOCK_TEXT_MAX, "look-up: %s", gai_strerror(error));
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = listen_inet(at, sharing, why);
    }
    int err = errno;
    freeaddrinfo(found);
    errno = err;
    return fd;
}

/* Without a host: [::], which takes IPv4 as well, or 0.0.0.0 where there is no IPv6. */
static int listen_host(const struct endpoint *endpoint, enum sock_sharing sharing, char why[SOCK_TEXT_MAX])
{
    if (endpoint->host[0] != '\0') {
        return listen_name(endpoint->host, endpoint->port, sharing, why);
    }
    int fd = listen_name("::", endpoint->port, sharing, why);
    bool no_ipv6 = fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
    return no_ipv6 ? listen_name("0.0.0.0", endpoint->port, sharing, why) : fd;
}

int sock_listen(const struct endpoint *endpoint, enum sock_sharing sharing, char bound[ENDPOINT_TEXT_MAX],
    char why[SOCK_TEXT_MAX])
{
    if (endpoint->kind == ENDPOINT_UNIX) {
        endpoint_format(endpoint, bound);
        return listen_unix(endpoint, why);
    }
    int fd = listen_host(endpoint, sharing, why);
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (fd < 0) {
        return -1;
    }
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return fail(fd, why, "getsockname", errno);
    }
    struct sock_peer self = sock_peer_from(&address);
    char text[SOCK_TEXT_MAX];
    sock_peer_format(&self, text);
    (void)snprintf(bound, ENDPOINT_TEXT_MAX, "%s", text);
    return fd;
}
