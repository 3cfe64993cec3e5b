#include "base/json.h"

/* The UTF-8 character at the head of `s` (RFC 3629), or its first byte where that starts none. */
static uint32_t next_code_point(struct slice s, size_t *len)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)s.p;
    *len = 1;
    if (b[0] < 0xc2 || b[0] > 0xf4) {
        return b[0];
    }
    size_t more = b[0] < 0xe0 ? 1 : b[0] < 0xf0 ? 2 : 3;
    if (s.len <= more) {
        return b[0];
    }
    uint32_t code = b[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return b[0];
        }
        code = code << 6 | (b[i] & 0x3fu);
    }
    if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return b[0];
    }
    *len = more + 1;
    return code;
}

size_t json_escape_one(struct slice s, struct text *out)
{
    size_t len;
    uint32_t code = next_code_point(s, &len);
    if (code == '"' || code == '\\') {
        text_addf(out, "\\%c", (int)code);
    } else if (code == '\n') {
        text_addf(out, "\\n");
    } else if (code >= 0x20 && code < 0x7f) {
        text_addf(out, "%c", (int)code);
    } else if (code < 0x10000) {
        text_addf(out, "\\u%04x", (unsigned)code);
    } else {
        text_addf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
            (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
    }
    return len;
}

static const struct slice dots = {"...", 3};

void json_add_string(struct text *out, struct slice value, size_t most_bytes)
{
    bool cut = value.len > most_bytes;
    if (cut) {
        value.len = most_bytes - dots.len;
    }
    text_add(out, SLICE("\""));
    while (value.len > 0) {
        size_t used = json_escape_one(value, out);
        value = (struct slice){value.p + used, value.len - used};
    }
    text_add(out, cut ? dots : SLICE(""));
    text_add(out, SLICE("\""));
}
