#include "proto/proxy_header.h"
#include "proto/crc32c.h"
#include "proto/proxy_v2.h"
#include <string.h>

enum {
    V1_MAX = 107, /* with its CRLF (2.1) */
    CRC_LEN = 4,
};

static enum proxy_progress bad(struct proxy_header *header, const char *phrase)
{
    header->phrase = phrase;
    return PROXY_BAD;
}

static unsigned big_endian_16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* The word up to the next blank, of which there is exactly one between two words. */
static struct slice next_word(struct slice *rest)
{
    struct slice word = {rest->p, slice_find(*rest, ' ')};
    size_t used = word.len < rest->len ? word.len + 1 : word.len;
    rest->p += used;
    rest->len -= used;
    return word;
}

static bool read_port(struct slice word, uint16_t *port)
{
    uint64_t value = 0;
    if ((word.len > 1 && word.p[0] == '0') || !slice_to_u64(word, UINT16_MAX, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

static bool read_address(struct slice word, bool v6, struct ip_addr *addr)
{
    return (slice_find(word, ':') < word.len) == v6 && ip_parse(word, addr);
}

/* 2.1: PROXY TCP4|TCP6 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT, or PROXY UNKNOWN and what is then to
 * be passed over. */
static enum proxy_progress read_v1_line(struct slice line, struct proxy_header *header)
{
    (void)next_word(&line);
    struct slice family = next_word(&line);
    bool v6 = slice_eq(family, SLICE("TCP6"));
    if (slice_eq(family, SLICE("UNKNOWN"))) {
        return PROXY_DONE;
    }
    if (!v6 && !slice_eq(family, SLICE("TCP4"))) {
        return bad(header, "PROXY header is of another protocol than TCP4, TCP6 and UNKNOWN");
    }
    struct slice source = next_word(&line);
    struct slice destination = next_word(&line);
    if (!read_address(source, v6, &header->source) || !read_address(destination, v6, &header->destination)) {
        return bad(header, "PROXY header has a bad address");
    }
    struct slice source_port = next_word(&line);
    if (!read_port(source_port, &header->source_port) || !read_port(line, &header->destination_port)) {
        return bad(header, "PROXY header has a bad port");
    }
    header->kind = PROXY_SOURCE_INET;
    return PROXY_DONE;
}

static enum proxy_progress read_v1(struct slice bytes, struct proxy_header *header)
{
    size_t seen = bytes.len < V1_MAX ? bytes.len : V1_MAX;
    size_t cr = slice_find((struct slice){bytes.p, seen}, '\r');
    size_t lf = slice_find((struct slice){bytes.p, seen}, '\n');
    if (lf < cr || (cr + 1 < seen && lf != cr + 1)) {
        return bad(header, "PROXY header does not end in CRLF");
    }
    if (lf < seen) {
        header->len = lf + 1;
        return read_v1_line((struct slice){bytes.p, cr}, header);
    }
    return seen == V1_MAX ? bad(header, "PROXY header is over 107 bytes") : PROXY_MORE;
}

bool proxy_header_tlv(struct slice *rest, uint8_t *type, struct slice *value)
{
    if (rest->len < PROXY_V2_TLV_START) {
        return false;
    }
    const uint8_t *start = (const uint8_t *)rest->p;
    size_t len = big_endian_16(start + 1);
    if (len > rest->len - PROXY_V2_TLV_START) {
        return false;
    }
    *type = start[0];
    *value = (struct slice){rest->p + PROXY_V2_TLV_START, len};
    rest->p += PROXY_V2_TLV_START + len;
    rest->len -= PROXY_V2_TLV_START + len;
    return true;
}

/* 2.2.4: over the whole header, with zeros where the checksum itself stands. */
static bool is_checksum(const uint8_t *bytes, size_t len, struct slice value)
{
    static const uint8_t zeros[CRC_LEN];
    const uint8_t *said = (const uint8_t *)value.p;
    const uint8_t *behind = said + CRC_LEN;
    uint32_t crc = crc32c_add(CRC32C_INIT, bytes, (size_t)(said - bytes));
    crc = crc32c_add(crc, zeros, sizeof zeros);
    crc = crc32c_end(crc32c_add(crc, behind, len - (size_t)(behind - bytes)));
    return crc == ((uint32_t)big_endian_16(said) << 16 | big_endian_16(said + 2));
}

static enum proxy_progress read_tlvs(const uint8_t *bytes, size_t at, struct proxy_header *header)
{
    header->tlvs = (struct slice){(const char *)bytes + at, header->len - at};
    struct slice rest = header->tlvs, value;
    uint8_t type;
    bool checked = false;
    while (proxy_header_tlv(&rest, &type, &value)) {
        if (type != PROXY_V2_TYPE_CRC32C) {
            continue;
        }
        if (checked || value.len != CRC_LEN) {
            return bad(header, "PROXY header has a checksum that is none");
        }
        if (!is_checksum(bytes, header->len, value)) {
            return bad(header, "PROXY header has another checksum than it says");
        }
        checked = true;
    }
    return rest.len == 0 ? PROXY_DONE : bad(header, "PROXY header has a TLV that goes beyond it");
}

static void read_v2_addresses(const uint8_t *at, size_t address_len, struct proxy_header *header)
{
    /* IPv4 is kept as mapped IPv6. */
    static const struct ip_addr mapped = {.bytes = {[10] = 0xFF, [11] = 0xFF}};
    size_t skip = sizeof mapped.bytes - address_len;
    header->source = header->destination = mapped;
    memcpy(header->source.bytes + skip, at, address_len);
    memcpy(header->destination.bytes + skip, at + address_len, address_len);
    header->source_port = (uint16_t)big_endian_16(at + 2 * address_len);
    header->destination_port = (uint16_t)big_endian_16(at + 2 * address_len + 2);
    header->kind = PROXY_SOURCE_INET;
}

/* What the bytes behind the signature say, as far as they have come. */
static enum proxy_progress read_v2_start(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
    if (len <= PROXY_V2_SIGNATURE_LEN) {
        return PROXY_MORE;
    }
    if (bytes[12] != PROXY_V2_LOCAL && bytes[12] != PROXY_V2_PROXY) {
        return bad(header, "PROXY header is not of version 2, LOCAL or PROXY");
    }
    if (len < PROXY_V2_START) {
        return PROXY_MORE;
    }
    header->len = PROXY_V2_START + (size_t)big_endian_16(bytes + 14);
    if (header->len > PROXY_HEADER_MAX) {
        return bad(header, "PROXY header is over 4096 bytes");
    }
    return len < header->len ? PROXY_MORE : PROXY_DONE;
}

static enum proxy_progress read_v2(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
    enum proxy_progress start = read_v2_start(bytes, len, header);
    if (start != PROXY_DONE) {
        return start;
    }
    /* LOCAL: such as a health check of the proxy's own. What else is in there is to be passed over (2.2). */
    if (bytes[12] == PROXY_V2_LOCAL || bytes[13] == PROXY_V2_UNSPEC) {
        return PROXY_DONE;
    }
    size_t room = header->len - PROXY_V2_START;
    size_t used;
    if (bytes[13] == PROXY_V2_TCP4 && room >= PROXY_V2_TCP4_LEN) {
        used = PROXY_V2_TCP4_LEN;
        read_v2_addresses(bytes + PROXY_V2_START, 4, header);
    } else if (bytes[13] == PROXY_V2_TCP6 && room >= PROXY_V2_TCP6_LEN) {
        used = PROXY_V2_TCP6_LEN;
        read_v2_addresses(bytes + PROXY_V2_START, 16, header);
    } else if (bytes[13] == PROXY_V2_UNIX_STREAM && room >= PROXY_V2_UNIX_LEN) {
        used = PROXY_V2_UNIX_LEN;
        header->kind = PROXY_SOURCE_UNIX;
    } else {
        return bad(header, "PROXY header is not of TCP over IPv4 or IPv6, or of a unix stream");
    }
    return read_tlvs(bytes, PROXY_V2_START + used, header);
}

static bool starts_like(const uint8_t *bytes, size_t len, const char *pattern, size_t pattern_len)
{
    return memcmp(bytes, pattern, len < pattern_len ? len : pattern_len) == 0;
}

enum proxy_progress proxy_header_read(const uint8_t *bytes, size_t len, struct proxy_header *header)
{
    *header = (struct proxy_header){.phrase = "", .kind = PROXY_SOURCE_OWN, .tlvs = {"", 0}};
    if (len == 0) {
        return PROXY_MORE;
    }
    if (starts_like(bytes, len, "PROXY ", 6)) {
        return read_v1((struct slice){(const char *)bytes, len}, header);
    }
    if (starts_like(bytes, len, PROXY_V2_SIGNATURE, PROXY_V2_SIGNATURE_LEN)) {
        return read_v2(bytes, len, header);
    }
    return bad(header, "there is no PROXY header");
}
