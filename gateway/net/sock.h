/* Sockets: options, and what the kernel knows of a connection. */
#ifndef SLUICE_NET_SOCK_H
#define SLUICE_NET_SOCK_H

#include "base/endpoint.h"
#include "base/ip.h"
#include <sys/socket.h>

enum { SOCK_TEXT_MAX = 128 };

/* Who is at the other end. */
struct sock_peer {
    bool is_unix; /* then it has no address */
    struct ip_addr addr;
    uint16_t port; /* 0: not known */
};

struct sock_peer sock_peer_from(const struct sockaddr_storage *address);

/* Our own end of a connection; `is_unix` also where the system does not tell. */
struct sock_peer sock_self(int fd);

/* "10.0.0.1:5000", "[::1]:5000", "unix"; without a port that is known (0): "10.0.0.1", "::1". */
void sock_peer_format(const struct sock_peer *peer, char out[SOCK_TEXT_MAX]);

/* Small writes leave at once (TCP_NODELAY); does nothing on a unix socket. */
void sock_no_delay(int fd);

/* Has the system ask a peer that says nothing for a sign of life (RFC 9293 3.8.4): after `quiet_ms`, and for
 * `answer_ms` before reads fail with ETIMEDOUT. In whole seconds, one at least; bytes that are under way have
 * the system's own patience. Does nothing on a unix socket. */
void sock_keep_alive(int fd, uint64_t quiet_ms, uint64_t answer_ms);

/* Whether the peer's system has said nothing for `span_ms` to bytes that were sent to it again and again, as
 * one that is gone, or cut off. One that has no room says so whenever it is asked, and is not meant. The
 * kernel itself gives up after some fifteen minutes; TCP_USER_TIMEOUT would end those without room as well.
 * False on a unix socket. */
bool sock_is_unanswered(int fd, uint64_t span_ms);

/* How many bytes the peer's system has acknowledged on this connection, in all; 0 where the kernel does not
 * tell. */
uint64_t sock_acked_bytes(int fd);

/* What TCP has measured on a connection. */
struct sock_facts {
    uint32_t rtt_us; /* smoothed; 0: it is not TCP, or nothing was measured */
    uint32_t retransmits;
};
struct sock_facts sock_tcp_facts(int fd);

/* How many bytes the kernel holds that the peer has not acknowledged (TCP) or not read (unix). */
size_t sock_unacked_bytes(int fd);

/* Who may listen on an address beside us: nobody, or other sockets of this process, which each have a queue
 * of their own (SO_REUSEPORT). */
enum sock_sharing { SOCK_ALONE, SOCK_BESIDE };

/* A listening, non-blocking socket for `endpoint`; a name is looked up, and a file of a unix socket that
 * nobody listens on is replaced. -1: `why` says what is wrong (cap SOCK_TEXT_MAX). `bound` gets the address
 * in force, with the real port. */
int sock_listen(const struct endpoint *endpoint, enum sock_sharing sharing, char bound[ENDPOINT_TEXT_MAX],
    char why[SOCK_TEXT_MAX]);

/* Another socket on the address of the TCP listener `fd`, bound, but with no queue until sock_begin. -1:
 * `why` says. */
int sock_bind_beside(int fd, char why[SOCK_TEXT_MAX]);
bool sock_begin(int fd, char why[SOCK_TEXT_MAX]) __attribute__((warn_unused_result));

#endif
