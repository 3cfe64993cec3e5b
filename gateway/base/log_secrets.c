#include "base/log.h"

/* Walks percent-encoded text as what it stands for; a bad escape stands for itself. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char next_decoded(struct slice *s)
{
    char c = s->p[0];
    size_t used = 1;
    if (c == '%' && s->len >= 3 && hex_digit(s->p[1]) >= 0 && hex_digit(s->p[2]) >= 0) {
        c = (char)(hex_digit(s->p[1]) * 16 + hex_digit(s->p[2]));
        used = 3;
    }
    s->p += used;
    s->len -= used;
    return c;
}

static bool starts_with_word(struct slice s, const char *word)
{
    for (; *word; word++) {
        if (s.len == 0) {
            return false;
        }
        char c = next_decoded(&s);
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != *word) {
            return false;
        }
    }
    return true;
}

static bool starts_with_secret_name(struct slice s)
{
    static const char *const words[] = {"token", "passw", "passphrase", "pwd", "secret", "key", "ticket",
        "credential", "auth", "session", "signature", "sig=", "jwt"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (starts_with_word(s, words[i])) {
            return true;
        }
    }
    return false;
}

/* Whether a secret's name stands somewhere before a '='. That asks the pair's own name, and also a value that
 * holds an encoded query: `path=websockify%3Ftoken%3Dabc`, as pages write it. */
static bool pair_is_secret(struct slice pair)
{
    bool named = false;
    while (pair.len > 0) {
        if (!named && starts_with_secret_name(pair)) {
            named = true;
        }
        if (next_decoded(&pair) == '=' && named) {
            return true;
        }
    }
    return false;
}

struct slice log_hide_secrets(struct slice path_and_query, char *out, size_t cap)
{
    struct text text;
    text_init(&text, out, cap);
    size_t query = slice_find(path_and_query, '?');
    text_add(&text, (struct slice){path_and_query.p, query});
    if (query == path_and_query.len) {
        return text_slice(&text); /* there is none; of a request that was not read there is not even a path */
    }
    struct slice rest = {path_and_query.p + query, path_and_query.len - query};
    while (rest.len > 0) {
        /* Each pair with the separator before it; servers differ in what they take for one. */
        size_t end = 1;
        while (end < rest.len && rest.p[end] != '&' && rest.p[end] != ';' && rest.p[end] != '?') {
            end++;
        }
        struct slice pair = {rest.p, end};
        size_t equals = slice_find(pair, '=');
        if (!pair_is_secret(pair)) {
            text_add(&text, pair);
        } else {
            text_add(&text, (struct slice){pair.p, equals < end ? equals + 1 : 1});
            text_add(&text, SLICE("***"));
        }
        rest.p += end;
        rest.len -= end;
    }
    return text_slice(&text);
}
