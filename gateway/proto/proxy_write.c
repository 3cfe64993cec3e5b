#include "proto/proxy_write.h"
#include "base/text.h"
#include "proto/crc32c.h"
#include "proto/proxy_v2.h"
#include <string.h>

enum { NAME_MAX_LEN = 255, VERSION_MAX_LEN = 16, UNIQUE_ID_MAX_LEN = 128, CRC_LEN = 4, VERIFY_LEN = 4 };

/* The longest of everything fits, so nothing below needs to look. */
_Static_assert(PROXY_V2_START + PROXY_V2_TCP6_LEN + 7 * PROXY_V2_TLV_START + 2 * NAME_MAX_LEN +
                       VERSION_MAX_LEN + UNIQUE_ID_MAX_LEN + 1 + VERIFY_LEN + CRC_LEN <=
                   PROXY_WRITE_V2_MAX,
    "PROXY_WRITE_V2_MAX is too small");

struct writer {
    uint8_t *p;
    size_t len;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
    memcpy(w->p + w->len, bytes, n);
    w->len += n;
}

static void put_byte(struct writer *w, unsigned value)
{
    w->p[w->len++] = (uint8_t)value;
}

static void put_16(struct writer *w, size_t value)
{
    put_byte(w, (unsigned)(value >> 8) & 0xFF);
    put_byte(w, (unsigned)value & 0xFF);
}

/* Fills in the two bytes of a length that stand at `at`: of all that was written behind them. */
static void set_len(struct writer *w, size_t at)
{
    struct writer back = {w->p, at};
    put_16(&back, w->len - at - 2);
}

/* A name that was cut would be another name: one that is too long is left out. */
static void put_tlv(struct writer *w, unsigned type, struct slice value, size_t max)
{
    if (value.len > 0 && value.len <= max) {
        put_byte(w, type);
        put_16(w, value.len);
        put(w, value.p, value.len);
    }
}

/* 2.2.5: struct pp2_tlv_ssl. */
static void put_ssl(struct writer *w, const struct proxy_facts *facts)
{
    unsigned client = PROXY_V2_CLIENT_SSL;
    if (facts->has_client_cert) {
        client |= PROXY_V2_CLIENT_CERT_SESS;
        client |= facts->resumed ? 0U : (unsigned)PROXY_V2_CLIENT_CERT_CONN;
    }
    put_byte(w, PROXY_V2_TYPE_SSL);
    size_t len_at = w->len;
    put_16(w, 0);
    put_byte(w, client);
    put_16(w, 0);
    put_16(w, facts->has_client_cert && facts->verified ? 0 : 1);
    put_tlv(w, PROXY_V2_SUBTYPE_SSL_VERSION, facts->tls_version, VERSION_MAX_LEN);
    if (facts->has_client_cert) {
        put_tlv(w, PROXY_V2_SUBTYPE_SSL_CN, facts->client_cn, NAME_MAX_LEN);
    }
    set_len(w, len_at);
}

static bool both_v4(const struct proxy_facts *facts)
{
    return ip_is_v4(&facts->source) && ip_is_v4(&facts->destination);
}

/* 2.2.4: the checksum is over the whole header, itself as zeros. */
static void put_checksum(struct writer *w)
{
    put_byte(w, PROXY_V2_TYPE_CRC32C);
    put_16(w, CRC_LEN);
    size_t at = w->len;
    put(w, (const uint8_t[CRC_LEN]){0}, CRC_LEN);
    set_len(w, PROXY_V2_START - 2);
    uint32_t crc = crc32c_end(crc32c_add(CRC32C_INIT, w->p, w->len));
    struct writer back = {w->p, at};
    put_16(&back, crc >> 16);
    put_16(&back, crc & 0xFFFF);
}

size_t proxy_write_v2(const struct proxy_facts *facts, uint8_t out[PROXY_WRITE_V2_MAX])
{
    struct writer w = {out, 0};
    bool v4 = both_v4(facts);
    size_t skip = v4 ? 12 : 0;
    put(&w, PROXY_V2_SIGNATURE, PROXY_V2_SIGNATURE_LEN);
    put_byte(&w, facts->known ? PROXY_V2_PROXY : PROXY_V2_LOCAL);
    put_byte(&w, !facts->known ? PROXY_V2_UNSPEC : v4 ? PROXY_V2_TCP4 : PROXY_V2_TCP6);
    put_16(&w, 0);
    if (facts->known) {
        put(&w, facts->source.bytes + skip, sizeof facts->source.bytes - skip);
        put(&w, facts->destination.bytes + skip, sizeof facts->destination.bytes - skip);
        put_16(&w, facts->source_port);
        put_16(&w, facts->destination_port);
    }
    put_tlv(&w, PROXY_V2_TYPE_AUTHORITY, facts->authority, NAME_MAX_LEN);
    put_tlv(&w, PROXY_V2_TYPE_UNIQUE_ID, facts->unique_id, UNIQUE_ID_MAX_LEN);
    if (facts->tls) {
        put_ssl(&w, facts);
    }
    put_checksum(&w);
    return w.len;
}

/* Beside an IPv6 address an IPv4 one is written as what it is in IPv6 (RFC 4291 2.5.5.2). */
static void add_address(struct text *t, const struct ip_addr *addr, bool v4)
{
    char text[IP_TEXT_MAX];
    ip_format(addr, text);
    text_addf(t, " %s%s", !v4 && ip_is_v4(addr) ? "::ffff:" : "", text);
}

size_t proxy_write_v1(const struct proxy_facts *facts, uint8_t out[PROXY_WRITE_V1_MAX])
{
    char array[PROXY_WRITE_V1_MAX + 1];
    struct text t;
    text_init(&t, array, sizeof array);
    if (facts->known) {
        bool v4 = both_v4(facts);
        text_addf(&t, "PROXY %s", v4 ? "TCP4" : "TCP6");
        add_address(&t, &facts->source, v4);
        add_address(&t, &facts->destination, v4);
        text_addf(&t, " %u %u\r\n", (unsigned)facts->source_port, (unsigned)facts->destination_port);
    } else {
        text_add(&t, SLICE("PROXY UNKNOWN\r\n"));
    }
    memcpy(out, t.p, t.len);
    return t.len;
}
