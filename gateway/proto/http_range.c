#include "proto/http_range.h"

enum http_range_verdict http_range_read(struct slice value, uint64_t size, uint64_t *first, uint64_t *last)
{
    struct slice unit = SLICE("bytes=");
    struct slice head = {value.p, value.len < unit.len ? value.len : unit.len};
    if (!slice_eq_nocase(head, unit)) {
        return HTTP_RANGE_WHOLE;
    }
    struct slice spec = slice_trim((struct slice){value.p + unit.len, value.len - unit.len});
    size_t dash = slice_find(spec, '-');
    if (dash == spec.len || slice_find(spec, ',') != spec.len) {
        return HTTP_RANGE_WHOLE;
    }
    struct slice from = {spec.p, dash};
    struct slice to = {spec.p + dash + 1, spec.len - dash - 1};
    uint64_t a = 0;
    uint64_t b = UINT64_MAX;
    if ((from.len > 0 && !slice_to_u64(from, UINT64_MAX - 1, &a)) ||
        (to.len > 0 && !slice_to_u64(to, UINT64_MAX - 1, &b)) || (from.len == 0 && to.len == 0)) {
        return HTTP_RANGE_WHOLE;
    }
    if (from.len == 0) { /* the last b bytes */
        if (b == 0 || size == 0) {
            return HTTP_RANGE_NONE;
        }
        *first = b < size ? size - b : 0;
        *last = size - 1;
        return HTTP_RANGE_PART;
    }
    if (a > b) {
        return HTTP_RANGE_WHOLE;
    }
    if (a >= size) {
        return HTTP_RANGE_NONE;
    }
    *first = a;
    *last = b < size - 1 ? b : size - 1;
    return HTTP_RANGE_PART;
}
