/* Any bytes as a Range and as a date of HTTP. A range that is taken lies within the file and is what RFC 9110
 * 14.1.2 reads out of the same digits; a date that is read is written and read again as the same second. */
#include "proto/http_date.h"
#include "proto/http_range.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 256, SIZE_BYTES = 5 };

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static void check_part(const char *value, uint64_t size, uint64_t first, uint64_t last)
{
    unsigned long long from = 0, to = 0;
    require(first <= last && last < size);
    const char *dash = strchr(value, '-');
    require(dash != NULL && strchr(value, ',') == NULL);
    if (sscanf(value + 6, " %llu-%llu", &from, &to) == 2) {
        require(first == from && last == (to < size ? to : size - 1));
    } else if (sscanf(value + 6, " %llu-", &from) == 1 && value[6 + strspn(value + 6, " \t")] != '-') {
        require(first == from && last == size - 1);
    } else {
        require(sscanf(dash, "-%llu", &to) == 1);
        require(last == size - 1 && (to < size ? size - first == to : first == 0));
    }
}

static void check_date(struct slice value)
{
    int64_t unix_s = 0, again_s = 0;
    char written[HTTP_DATE_MAX];
    if (!http_date_parse(value, &unix_s)) {
        return;
    }
    http_date_format(unix_s, written);
    require(strlen(written) < HTTP_DATE_MAX);
    if (strlen(written) == HTTP_DATE_MAX - 1) { /* a year of four digits */
        require(http_date_parse(slice_from(written), &again_s) && again_s == unix_s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SIZE_BYTES || size > INPUT_MAX) {
        return 0;
    }
    uint64_t file_bytes = 0, first = 0, last = 0;
    for (size_t i = 0; i < SIZE_BYTES; i++) {
        file_bytes = file_bytes << 8 | data[i];
    }
    char text[INPUT_MAX + 1] = {0};
    size_t len = size - SIZE_BYTES;
    memcpy(text, data + SIZE_BYTES, len);
    char *exact = malloc(len > 0 ? len : 1); /* of just its size: a sanitizer sees a step too far */
    require(exact != NULL);
    memcpy(exact, text, len);
    struct slice value = {exact, len};
    if (http_range_read(value, file_bytes, &first, &last) == HTTP_RANGE_PART) {
        require(strlen(text) == len);
        check_part(text, file_bytes, first, last);
    }
    check_date(value);
    free(exact);
    return 0;
}
