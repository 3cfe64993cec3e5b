#include "proto/http_date.h"
#include <string.h>
#include <time.h>

void http_date_format(int64_t unix_s, char out[HTTP_DATE_MAX])
{
    struct tm tm;
    time_t t = (time_t)unix_s;
    out[0] = '\0';
    if (gmtime_r(&t, &tm) == NULL || strftime(out, HTTP_DATE_MAX, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0) {
        memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_MAX);
    }
}

bool http_date_parse(struct slice s, int64_t *unix_s)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %e %H:%M:%S %Y",      /* asctime */
    };
    char copy[40];
    if (s.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        const char *end = strptime(copy, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *unix_s = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}
