/* A listening socket in the loop: accepts in batches and hands connections to the relay. */
#ifndef SLUICE_SERVE_LISTENER_H
#define SLUICE_SERVE_LISTENER_H

#include "relay/relay.h"

struct listener {
    struct relay *relay;
    struct relay_door door;
    struct loop_watch watch; /* its fd is borrowed: who bound it closes it */
    struct wheel_timer pause;
    bool short_of; /* descriptors or memory, since a pause that was logged */
};

/* Begins to accept. False: the loop refuses. What `door` points to outlives the listener. */
bool listener_start(struct listener *listener, struct relay *relay, struct relay_door door, int fd);

/* Takes what waits in the socket's queue now, as far as there is room for it. */
void listener_empty(struct listener *listener);

/* Accepts no more; connections that wait in the socket's queue stay there. */
void listener_stop(struct listener *listener);

#endif
