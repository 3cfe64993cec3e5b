/* `target_proxy_protocol`: the header that tells a target who the client is. */
#include "base/text.h"
#include "proto/proxy_write.h"
#include "relay/session.h"
#include <assert.h>

enum { ID_MAX = 20 };

static_assert(
    (int)PROXY_WRITE_V1_MAX <= (int)DIAL_PRELUDE_MAX && (int)PROXY_WRITE_V2_MAX <= (int)DIAL_PRELUDE_MAX,
    "a dial takes every header");

/* A client that is known by a proxy in front came in by a unix socket, which has no address: it is told as
 * the unspecified one, rather than not to tell of the client. */
static void tell_addresses(const struct session *s, struct proxy_facts *facts)
{
    struct sock_peer self = sock_self(s->client.io->fd);
    facts->known = !s->peer.is_unix;
    facts->source = s->peer.addr;
    facts->source_port = s->peer.port;
    facts->destination = self.addr;
    facts->destination_port = self.port;
    if (self.is_unix && ip_is_v4(&s->peer.addr)) {
        facts->destination.bytes[10] = facts->destination.bytes[11] = 0xFF;
    }
}

static void tell_tls(const struct tls_facts *tls, struct proxy_facts *facts)
{
    facts->tls = true;
    facts->authority = slice_from(tls->server_name);
    facts->tls_version = slice_from(tls->version);
    facts->resumed = tls->resumed;
    facts->has_client_cert = tls->has_cert;
    facts->verified = tls->verified;
    facts->client_cn = slice_from(tls->common_name);
}

size_t target_proxy_write(const struct session *s, uint8_t out[DIAL_PRELUDE_MAX])
{
    struct proxy_facts facts = {0};
    struct tls_facts tls;
    char array[ID_MAX];
    struct text id;
    text_init(&id, array, sizeof array);
    text_add_hex64(&id, s->id);
    facts.unique_id = text_slice(&id);
    switch (s->route->target_proxy) {
    case TARGET_PROXY_OFF:
        break;
    case TARGET_PROXY_V1:
        tell_addresses(s, &facts);
        return proxy_write_v1(&facts, out);
    case TARGET_PROXY_V2:
        tell_addresses(s, &facts);
        if (tls_facts_of(s->client.io, &tls)) {
            tell_tls(&tls, &facts);
        }
        return proxy_write_v2(&facts, out);
    }
    return 0;
}
