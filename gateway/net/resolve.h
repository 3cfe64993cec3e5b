/* Names are looked up off the loop: getaddrinfo(3) in a few threads, so that nsswitch, /etc/hosts and search
 * domains hold. Answers come back through the loop, on the thread that asked.
 *
 * One look-up of a name serves all who ask for it meanwhile, so a name whose servers are silent holds one
 * thread, however often it is asked for. A numeric host, `localhost` and `*.localhost` (this machine's
 * loopback addresses, whatever /etc/hosts says: RFC 6761 6.3) need no thread and wait for none. */
#ifndef SLUICE_NET_RESOLVE_H
#define SLUICE_NET_RESOLVE_H

#include "net/loop.h"
#include <netdb.h>

struct resolver;
struct resolve_job;

/* `error` is getaddrinfo's (0: fine). `addresses` are the resolver's and live for the call. */
typedef void resolve_done_fn(void *context, int error, const struct addrinfo *addresses);

/* Threads start with the first name, at most `threads_max`. NULL when there are no descriptors or memory. */
struct resolver *resolver_new(struct loop *loop, unsigned threads_max);

/* Waits for no thread: a look-up under way ends on its own and its answer is dropped. Jobs that are still
 * there end without `done`, and are not to be cancelled any more. */
void resolver_free(struct resolver *resolver);

/* Looks `host` up for stream sockets to `port`. NULL when there is no memory or too many names wait for a
 * thread (1,024). `done` is called from a later loop_turn, once, unless the job is cancelled. */
struct resolve_job *resolve_start(
    struct resolver *resolver, const char *host, uint16_t port, resolve_done_fn *done, void *context);
void resolve_cancel(struct resolve_job *job);

#endif
