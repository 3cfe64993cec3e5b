/* Sec-WebSocket-Accept: base64(SHA-1(key + GUID)), RFC 6455 4.2.2 5.4. */
#ifndef SLUICE_NET_DIGEST_H
#define SLUICE_NET_DIGEST_H

#include "base/slice.h"

enum { DIGEST_ACCEPT_LEN = 28 };

/* `key` as the client sent it; `out` gets 28 characters and a NUL. False when the digest cannot be had. */
bool digest_accept_key(struct slice key, char out[DIGEST_ACCEPT_LEN + 1]);

#endif
