#include "proto/http_path.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_path_decode(struct slice raw, char *out, size_t cap, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = raw.len - i > 2 ? hex_digit(raw.p[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex_digit(raw.p[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            char decoded = (char)(high << 4 | low);
            if (decoded != '/') {
                c = decoded;
                i += 2;
            }
        }
        if (n == cap) {
            return false;
        }
        out[n++] = c;
    }
    *len = n;
    return true;
}
