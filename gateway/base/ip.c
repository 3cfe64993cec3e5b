#include "base/ip.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <string.h>

enum { MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool ip_parse(struct slice s, struct ip_addr *out)
{
    char text[IP_TEXT_MAX];
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.p, '\0', s.len)) {
        return false;
    }
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';

    struct ip_addr addr;
    memcpy(addr.bytes, mapped_prefix, sizeof(mapped_prefix));
    if (inet_pton(AF_INET, text, addr.bytes + sizeof(mapped_prefix)) != 1 &&
        inet_pton(AF_INET6, text, addr.bytes) != 1) {
        return false;
    }
    *out = addr;
    return true;
}

/* The first `bits` of both are the same. */
static bool same_start(const struct ip_addr *a, const struct ip_addr *b, unsigned bits)
{
    size_t whole = bits / 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0) {
        return false;
    }
    if (bits % 8 == 0) {
        return true;
    }
    return ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - bits % 8)) == 0;
}

static bool only_zeros_behind(const struct ip_addr *addr, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        if (addr->bytes[i / 8] & (0x80u >> (i % 8))) {
            return false;
        }
    }
    return true;
}

static const char *net_fault(struct slice s, struct ip_net *out)
{
    size_t slash = slice_find(s, '/');
    struct slice host = {s.p, slash};
    if (!ip_parse(host, &out->addr)) {
        return "is not an address or a network: write one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8";
    }
    /* Told by how it is written, so that "::ffff:10.0.0.0/104" counts its bits as IPv6. */
    unsigned bits = slice_find(host, ':') < host.len ? 128 : 32;
    uint64_t prefix = bits;
    if (slash < s.len && !slice_to_u64((struct slice){s.p + slash + 1, s.len - slash - 1}, bits, &prefix)) {
        return bits == 32 ? "has a bad prefix: write 0 to 32 behind the slash of an IPv4 network"
                          : "has a bad prefix: write 0 to 128 behind the slash of an IPv6 network";
    }
    out->prefix = (uint8_t)(bits == 32 ? prefix + MAPPED_BITS : prefix);
    if (!only_zeros_behind(&out->addr, out->prefix)) {
        return "has bits set behind its prefix: write the network's first address, as in 10.1.0.0/16";
    }
    return NULL;
}

bool ip_net_parse(struct slice s, struct ip_net *out, const char **why)
{
    struct ip_net net = {0};
    const char *fault = net_fault(s, &net);
    if (fault) {
        if (why) {
            *why = fault;
        }
        return false;
    }
    *out = net;
    return true;
}

bool ip_net_contains(const struct ip_net *net, const struct ip_addr *addr)
{
    return same_start(&net->addr, addr, net->prefix);
}

bool ip_net_list_contains(const struct ip_net *nets, size_t count, const struct ip_addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (ip_net_contains(&nets[i], addr)) {
            return true;
        }
    }
    return false;
}

bool ip_net_covers(const struct ip_net *outer, const struct ip_net *inner)
{
    return outer->prefix <= inner->prefix && same_start(&outer->addr, &inner->addr, outer->prefix);
}

bool ip_is_v4(const struct ip_addr *addr)
{
    return memcmp(addr->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

void ip_format(const struct ip_addr *addr, char out[IP_TEXT_MAX])
{
    if (!ip_is_v4(addr)) {
        if (!inet_ntop(AF_INET6, addr->bytes, out, IP_TEXT_MAX)) {
            out[0] = '\0';
        }
        return;
    }
    struct text text;
    text_init(&text, out, IP_TEXT_MAX);
    for (size_t i = sizeof(mapped_prefix); i < sizeof addr->bytes; i++) {
        text_add(&text, i > sizeof(mapped_prefix) ? SLICE(".") : SLICE(""));
        text_add_u64(&text, addr->bytes[i]);
    }
}
