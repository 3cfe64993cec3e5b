/* What a step of I/O answers. errno ends where it was read: `err` is for the log, the status for decisions.
 */
#ifndef SLUICE_NET_IO_H
#define SLUICE_NET_IO_H

#include <stddef.h>

enum io_status {
    IO_OK,         /* n bytes moved (n > 0), or the step is done */
    IO_WANT_READ,  /* nothing more until the descriptor is readable */
    IO_WANT_WRITE, /* nothing more until it is writable */
    IO_EOF,        /* the peer ended its direction in order (FIN, or close_notify) */
    IO_FAIL,       /* the connection is of no more use */
};

struct io_result {
    enum io_status status;
    size_t n;
    int err; /* with IO_FAIL: an errno, or 0 where none fits (a TLS fault) */
};

#endif
