#include "rules/cause.h"

struct cause_row {
    const char *name;
    uint16_t close_code;
    uint16_t http_status;
    enum log_level log_level;
    const char *phrase;
};

static const struct cause_row rows[CAUSE_COUNT] = {
#define CAUSE_ROW(constant, name, code, status, level, phrase)                                               \
    [constant] = {name, code, status, level, phrase},
    CAUSE_TABLE(CAUSE_ROW)
#undef CAUSE_ROW
};

#define CAUSE_FITS(constant, name, code, status, level, phrase)                                              \
    _Static_assert(                                                                                          \
        sizeof(phrase) - 1 <= CAUSE_PHRASE_MAX, #constant ": phrase is too long for a Close frame");
CAUSE_TABLE(CAUSE_FITS)
#undef CAUSE_FITS

const char *cause_name(enum cause cause)
{
    return rows[cause].name;
}

uint16_t cause_close_code(enum cause cause)
{
    return rows[cause].close_code;
}

uint16_t cause_http_status(enum cause cause)
{
    return rows[cause].http_status;
}

enum log_level cause_log_level(enum cause cause)
{
    return rows[cause].log_level;
}

const char *cause_phrase(enum cause cause)
{
    return rows[cause].phrase;
}

bool cause_from_name(struct slice name, enum cause *out)
{
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        if (slice_eq(name, slice_from(rows[i].name))) {
            *out = (enum cause)i;
            return true;
        }
    }
    return false;
}
