/* Any bytes as X-Forwarded-For, each line of the input one of its lines: the same as a reading from the front
 * of the one list that the lines are, and as that list with every element on a line of its own. */
#include "proto/forwarded.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 2048 };

static const char name[] = "X-Forwarded-For";

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* A request whose fields are the pieces of `text` between `cut`s; `bytes` is the name with `text` behind. */
static void make_request(struct http_request *r, struct slice text, char cut)
{
    http_request_init(r);
    size_t at = 0;
    while (r->field_count < HTTP_FIELDS_MAX) {
        struct slice rest = {text.p + at, text.len - at};
        /* What is too much for the lines of one request is left in one. */
        size_t len = r->field_count + 1 == HTTP_FIELDS_MAX ? rest.len : slice_find(rest, cut);
        r->fields[r->field_count++] =
            (struct http_field){{0, sizeof name - 1}, {(uint32_t)(sizeof name - 1 + at), (uint32_t)len}};
        at += len + 1;
        if (at > text.len)
            break;
    }
}

static enum forwarded_verdict read_alone(
    struct slice element, const struct ip_net *nets, size_t count, struct forwarded *found)
{
    static struct http_request r;
    char bytes[sizeof name + INPUT_MAX];
    memcpy(bytes, name, sizeof name - 1);
    memcpy(bytes + sizeof name - 1, element.p, element.len);
    make_request(&r, (struct slice){bytes + sizeof name - 1, element.len}, '\n');
    return forwarded_read(&r, bytes, nets, count, found);
}

/* From the front: whoever is not trusted, and what is no address, makes what stood before it worthless. */
static enum forwarded_verdict read_from_the_front(
    struct slice list, const struct ip_net *nets, size_t count, struct forwarded *found)
{
    enum forwarded_verdict verdict = FORWARDED_NONE;
    struct slice element;
    while (slice_next(&list, ',', &element)) {
        struct forwarded one;
        enum forwarded_verdict alone = read_alone(element, nets, count, &one);
        if (alone == FORWARDED_NONE)
            continue;
        bool trusted = alone == FORWARDED_CLIENT && ip_net_list_contains(nets, count, &one.client);
        if (verdict == FORWARDED_NONE || !trusted) {
            verdict = alone;
            if (alone == FORWARDED_CLIENT)
                *found = one;
        }
    }
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request lines, elements;
    static struct ip_net nets[2];
    if (size < 1 || size > INPUT_MAX)
        return 0;
    require(ip_net_parse(SLICE("10.0.0.0/8"), &nets[0], NULL));
    require(ip_net_parse(SLICE("fd00::/8"), &nets[1], NULL));
    size_t count = data[0] % 3, len = size - 1;
    char *bytes = malloc(sizeof name - 1 + len);
    require(bytes != NULL);
    memcpy(bytes, name, sizeof name - 1);
    memcpy(bytes + sizeof name - 1, data + 1, len);
    struct slice text = {bytes + sizeof name - 1, len};

    struct forwarded by_lines = {.port = 0}, by_elements = {.port = 0}, by_front = {.port = 0};
    make_request(&lines, text, '\n');
    enum forwarded_verdict verdict = forwarded_read(&lines, bytes, nets, count, &by_lines);
    if (lines.field_count < HTTP_FIELDS_MAX) {
        for (size_t i = 0; i < len; i++) {
            if (bytes[sizeof name - 1 + i] == '\n')
                bytes[sizeof name - 1 + i] = ',';
        }
        make_request(&elements, text, ',');
        require(forwarded_read(&elements, bytes, nets, count, &by_elements) == verdict);
        require(read_from_the_front(text, nets, count, &by_front) == verdict);
    }
    if (verdict == FORWARDED_CLIENT && lines.field_count < HTTP_FIELDS_MAX) {
        require(memcmp(&by_lines.client, &by_elements.client, sizeof by_lines.client) == 0);
        require(memcmp(&by_lines.client, &by_front.client, sizeof by_lines.client) == 0);
        require(by_lines.port == by_elements.port && by_lines.port == by_front.port);
    }
    free(bytes);
    return 0;
}
