/* Any bytes as a request: the same verdict whole and in pieces, everything found lies inside the head, and
 * what is taken keeps to what http_request.h and http_head.h promise. */
#include "proto/http_date.h"
#include "proto/http_head.h"
#include "proto/http_path.h"
#include "proto/http_range.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SETTINGS = 2, JOINED_MAX = 48, INPUT_MAX = 1 << 15 };

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* Nothing, the one "/" that an absolute target without a path stands for, or a place in the head. */
static void require_inside(struct slice s, const char *bytes, size_t len)
{
    require(s.len == 0 || (s.len == 1 && s.p[0] == '/') || (s.p >= bytes && s.p + s.len <= bytes + len));
}

static void check_request(const struct http_request *r, const char *bytes, size_t limit)
{
    require(r->head_len >= 16 && r->head_len <= limit && memcmp(bytes + r->head_len - 4, "\r\n\r\n", 4) == 0);
    require(http_is_token(http_request_slice(bytes, r->method)) && r->target.len > 0);
    require(r->field_count <= HTTP_FIELDS_MAX);
    uint32_t behind = r->target.at + r->target.len;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *field = &r->fields[i];
        require(field->name.at > behind && http_is_token(http_request_slice(bytes, field->name)));
        require(field->value.at > field->name.at + field->name.len);
        behind = field->value.at + field->value.len;
        require(behind <= r->head_len - 4);
        for (uint32_t at = field->value.at; at < behind; at++)
            require((unsigned char)bytes[at] >= ' ' || bytes[at] == '\t');
    }
}

static void check_path(struct slice raw)
{
    char *path = malloc(raw.len > 0 ? raw.len : 1);
    size_t len = 0;
    require(path != NULL);
    if (http_path_decode(raw, path, raw.len, &len)) {
        require(len <= raw.len && memchr(path, '\0', len) == NULL);
        size_t slashes = 0;
        for (size_t i = 0; i < raw.len; i++)
            slashes += raw.p[i] == '/';
        for (size_t i = 0; i < len; i++)
            slashes -= path[i] == '/';
        require(slashes == 0);
    }
    free(path);
}

static void check_subprotocols(const struct http_request *r, const char *bytes)
{
    struct slice joined, element;
    char *out = malloc(JOINED_MAX);
    require(out != NULL);
    if (http_head_subprotocols(r, bytes, out, JOINED_MAX, &joined)) {
        require(joined.p == out && joined.len <= JOINED_MAX);
        while (slice_next(&joined, ',', &element))
            require(http_is_token(element));
    }
    free(out);
}

static void check_head(const struct http_request *r, const char *bytes)
{
    struct http_head head;
    http_head_read(r, bytes, &head);
    const struct slice found[] = {
        head.host, head.authority, head.path, head.path_and_query, head.origin, head.key};
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        require_inside(found[i], bytes, r->head_len);
    require(head.status == 0 || head.status == 400 || head.status == 426);
    require((head.status != 0) == (head.phrase[0] != '\0'));
    require(head.path.len <= head.path_and_query.len);
    if (head.status == 0) {
        require(head.host.len > 0 && head.host.len <= head.authority.len);
        require(head.method == HTTP_OTHER_METHOD || (head.path.len > 0 && head.path.p[0] == '/'));
        require(!head.upgrade || (head.method == HTTP_GET && head.key.len == 24));
    }
    check_path(head.path);
    check_subprotocols(r, bytes);
}

static void check_values(const struct http_request *r, const char *bytes, uint64_t size)
{
    struct slice value;
    uint64_t first, last;
    int64_t unix_s;
    (void)http_request_field(r, bytes, SLICE("Range"), &value);
    if (http_range_read(value, size, &first, &last) == HTTP_RANGE_PART)
        require(first <= last && last < size);
    (void)http_request_field(r, bytes, SLICE("If-Modified-Since"), &value);
    (void)http_date_parse(value, &unix_s);
}

/* As bytes come in: each time a bit more, in memory of just that size. */
static enum http_progress read_in_pieces(
    struct http_request *r, const uint8_t *data, size_t size, size_t limit, uint32_t seed)
{
    enum http_progress progress = HTTP_MORE;
    http_request_init(r);
    for (size_t len = 0; len < size && progress == HTTP_MORE;) {
        seed = seed * 1664525 + 1013904223;
        size_t more = 1 + (seed >> 16) % (1 + size / 8);
        len = more < size - len ? len + more : size;
        char *bytes = malloc(len);
        require(bytes != NULL);
        memcpy(bytes, data, len);
        progress = http_request_read(r, bytes, len, limit);
        free(bytes);
    }
    return progress;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request whole, pieces;
    if (size <= SETTINGS || size > INPUT_MAX)
        return 0;
    size_t limit = data[0] < 128 ? 16384 : data[0];
    const char *bytes = (const char *)data + SETTINGS;
    size_t len = size - SETTINGS;
    http_request_init(&whole);
    enum http_progress progress = http_request_read(&whole, bytes, len, limit);
    require(read_in_pieces(&pieces, data + SETTINGS, len, limit, data[1]) == progress);
    switch (progress) {
    case HTTP_MORE:
        require(len < limit);
        break;
    case HTTP_BAD:
        require(whole.status == 400 || whole.status == 414 || whole.status == 431);
        require(pieces.status == whole.status && strcmp(pieces.phrase, whole.phrase) == 0);
        break;
    case HTTP_DONE:
        require(pieces.head_len == whole.head_len && pieces.field_count == whole.field_count);
        require(memcmp(&pieces.method, &whole.method, 2 * sizeof whole.method) == 0);
        require(memcmp(pieces.fields, whole.fields, whole.field_count * sizeof whole.fields[0]) == 0);
        check_request(&whole, bytes, limit);
        check_head(&whole, bytes);
        check_values(&whole, bytes, data[1]);
        break;
    }
    return 0;
}
