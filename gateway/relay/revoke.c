/* New rules and old sessions: each is judged once more, by what it had asked. */
#include "proto/http_path.h"
#include "relay/session.h"

struct revocation {
    const struct rules *rules;
    uint64_t count;
};

/* Whether a route with a target still takes it. */
static bool is_taken(const struct session *s, const struct rules *rules)
{
    struct asked_words words = asked_words(s->asked);
    char *path = (char *)s->relay->scratch;
    struct judge_request asked = {
        .host = {words.authority.p, words.host_len},
        .port = words.port,
        .from = s->peer.is_unix ? NULL : &s->peer.addr,
        .tls = s->door->tls != NULL,
        .upgrade = true,
        .has_origin = words.has_origin,
        .origin = words.origin,
        .subprotocols = words.subprotocols,
    };
    asked.path.p = path;
    if (!http_path_decode(words.path, path, RELAY_READ_MAX, &asked.path.len)) {
        return false; /* it was decoded before */
    }
    return judge(rules, &asked).route != NULL; /* no folder of files takes an upgrade */
}

static void revoke_one(struct session *s, void *context)
{
    struct revocation *revocation = context;
    if (s->place == PLACE_SESSION && !session_is_over(s) && !is_taken(s, revocation->rules)) {
        revocation->count++;
        session_end(s, CAUSE_REVOKED, NULL);
        session_run(s);
    }
}

uint64_t relay_revoke(struct relay *relay, const struct rules *rules)
{
    struct revocation revocation = {.rules = rules};
    relay->newer = rules; /* connections whose request is still to come */
    relay_each(relay, revoke_one, &revocation);
    return revocation.count;
}
