/* Any bytes as a PROXY header: the same verdict whole and in pieces, nothing taken that is not the header's,
 * and what was read is read again after it was written. */
#include "proto/proxy_header.h"
#include "proto/proxy_write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = PROXY_HEADER_MAX + 64 };

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void require_same(const struct proxy_header *a, const struct proxy_header *b)
{
    require(a->kind == b->kind && a->source_port == b->source_port);
    require(a->destination_port == b->destination_port);
    require(memcmp(&a->source, &b->source, sizeof a->source) == 0);
    require(memcmp(&a->destination, &b->destination, sizeof a->destination) == 0);
}

/* In memory of just that size. */
static enum proxy_progress read_part(const uint8_t *data, size_t len, struct proxy_header *header)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    require(bytes != NULL);
    memcpy(bytes, data, len);
    enum proxy_progress progress = proxy_header_read(bytes, len, header);
    free(bytes);
    return progress;
}

static void check_pieces(
    const uint8_t *data, size_t size, enum proxy_progress progress, const struct proxy_header *whole)
{
    struct proxy_header part;
    size_t step = 1 + size / 64;
    for (size_t len = 0; len < size; len += step) {
        switch (read_part(data, len, &part)) {
        case PROXY_MORE:
            require(progress != PROXY_DONE || len < whole->len);
            break;
        case PROXY_DONE:
            require(progress == PROXY_DONE && part.len == whole->len && len >= part.len);
            require_same(&part, whole);
            break;
        case PROXY_BAD:
            require(progress == PROXY_BAD && strcmp(part.phrase, whole->phrase) == 0);
            break;
        }
    }
}

static void check_tlvs(const struct proxy_header *header, const uint8_t *data)
{
    struct slice rest = header->tlvs, value;
    uint8_t type;
    if (rest.len == 0)
        return;
    require((const uint8_t *)rest.p + rest.len == data + header->len);
    while (proxy_header_tlv(&rest, &type, &value))
        require((const uint8_t *)value.p + value.len <= data + header->len);
    require(rest.len == 0);
}

static void check_written(const struct proxy_header *header, const uint8_t *data, size_t size)
{
    struct proxy_facts facts = {
        .known = header->kind == PROXY_SOURCE_INET,
        .source = header->source,
        .destination = header->destination,
        .source_port = header->source_port,
        .destination_port = header->destination_port,
        .authority = {(const char *)data, size},
        .unique_id = {(const char *)data, size % 130},
        .tls = (data[size - 1] & 1) != 0,
        .tls_version = {(const char *)data, size % 18},
        .has_client_cert = (data[size - 1] & 2) != 0,
        .resumed = (data[size - 1] & 4) != 0,
        .verified = (data[size - 1] & 8) != 0,
        .client_cn = {(const char *)data, size % 257},
    };
    uint8_t out[PROXY_WRITE_V2_MAX];
    struct proxy_header again;
    size_t len = proxy_write_v1(&facts, out);
    require(len <= PROXY_WRITE_V1_MAX && proxy_header_read(out, len, &again) == PROXY_DONE);
    require(again.len == len && (again.kind == PROXY_SOURCE_INET) == facts.known);
    if (facts.known)
        require_same(&again, header);
    len = proxy_write_v2(&facts, out);
    require(len <= sizeof out && proxy_header_read(out, len, &again) == PROXY_DONE);
    require(again.len == len && (again.kind == PROXY_SOURCE_INET) == facts.known);
    if (facts.known)
        require_same(&again, header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header header;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    enum proxy_progress progress = proxy_header_read(data, size, &header);
    check_pieces(data, size, progress, &header);
    switch (progress) {
    case PROXY_MORE:
        require(size < PROXY_HEADER_MAX);
        break;
    case PROXY_BAD:
        require(header.phrase[0] != '\0');
        break;
    case PROXY_DONE:
        require(header.len <= size && header.len <= PROXY_HEADER_MAX);
        check_tlvs(&header, data);
        check_written(&header, data, size);
        break;
    }
    return 0;
}
