#include "base/text.h"
#include "base/words.h"
#include "rules/load_internal.h"

#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {NULL, 0}};
static const struct unit size_units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {NULL, 0}};

static bool is_off(struct slice text)
{
    return slice_eq(text, SLICE("off"));
}

bool load_text(struct loader *l, const struct tree_node *value, struct slice *out)
{
    if (value->broken) {
        return false;
    }
    if (value->kind != TREE_SCALAR) {
        LOAD_FAULT(
            l, value->at, "has to be one value, not a %s", value->kind == TREE_LIST ? "list" : "mapping");
        return false;
    }
    for (size_t i = 0; i < value->text.len; i++) {
        unsigned char byte = (unsigned char)value->text.p[i];
        if (byte < 0x20 || byte == 0x7F) {
            LOAD_FAULT(l, value->at, "has a control character (0x%02x) in it: take it out", (unsigned)byte);
            return false;
        }
    }
    if (value->text.len == 0) {
        LOAD_FAULT(l, value->at, "is empty: write a value, or take the key out");
        return false;
    }
    *out = value->text;
    return true;
}

/* ---- Numbers with a unit */

enum quantity { QUANTITY_FINE, QUANTITY_NO_NUMBER, QUANTITY_NO_UNIT, QUANTITY_BAD_UNIT, QUANTITY_TOO_BIG };

static enum quantity quantity_parse(struct slice text, const struct unit *units, uint64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9') {
        digits++;
    }
    struct slice number = {text.p, digits}, name = {text.p + digits, text.len - digits};
    uint64_t n = 0;
    if (digits == 0) {
        return QUANTITY_NO_NUMBER;
    }
    if (name.len == 0) {
        return QUANTITY_NO_UNIT;
    }
    for (; units->name; units++) {
        if (!slice_eq(slice_from(units->name), name)) {
            continue;
        }
        if (!slice_to_u64(number, UINT64_MAX / 2 / units->factor, &n)) {
            return QUANTITY_TOO_BIG;
        }
        *out = n * units->factor;
        return QUANTITY_FINE;
    }
    return QUANTITY_BAD_UNIT;
}

/* How one kind of quantity is spoken of. */
struct speech {
    const struct unit *units;
    const char *kind;
    const char *example;
    const char *off_value; /* a good one to write instead of off */
};

static const struct speech durations = {duration_units, "duration", "500ms, 10s, 5m or 2h", "10s"};
static const struct speech sizes = {size_units, "size", "512B, 16KiB or 1MiB", "16KiB"};

/* `value` in the largest unit that fits it. */
static void quantity_format(uint64_t value, const struct unit *units, char out[32])
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name; unit++) {
        if (value >= unit->factor && value % unit->factor == 0) {
            best = unit;
        }
    }
    struct text t;
    text_init(&t, out, 32);
    text_addf(&t, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

static bool is_in_range(
    struct loader *l, struct place at, const struct key_spec *spec, const struct speech *speech, uint64_t n)
{
    char bound[32];
    if (n < spec->least) {
        quantity_format(spec->least, speech->units, bound);
        LOAD_FAULT(l, at, "is too little: the least is %s%s", bound,
            spec->may_be_off ? ", and \"off\" goes without" : "");
        return false;
    }
    if (n > spec->most) {
        quantity_format(spec->most, speech->units, bound);
        LOAD_FAULT(l, at, "is too much: the most is %s%s", bound,
            spec->may_be_off ? ", and \"off\" goes without" : "");
        return false;
    }
    return true;
}

static bool load_quantity(struct loader *l, const struct tree_node *value, const struct key_spec *spec,
    const struct speech *speech, uint64_t *out)
{
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    const char *or_off = spec->may_be_off ? ", or off" : "";
    if (!load_text(l, value, &text)) {
        return false;
    }
    yaml_tree_show(text, shown);
    if (is_off(text) && spec->may_be_off) {
        *out = UINT64_MAX;
        return true;
    }
    if (is_off(text)) {
        LOAD_FAULT(l, value->at, "cannot be off: write a %s such as %s", speech->kind, speech->off_value);
        return false;
    }
    switch (quantity_parse(text, speech->units, out)) {
    case QUANTITY_FINE:
        return is_in_range(l, value->at, spec, speech, *out);
    case QUANTITY_TOO_BIG:
        return is_in_range(l, value->at, spec, speech, UINT64_MAX);
    case QUANTITY_NO_UNIT:
        LOAD_FAULT(l, value->at, "\"%s\" has no unit: write it as in %s%s", shown, speech->example, or_off);
        return false;
    case QUANTITY_NO_NUMBER:
    case QUANTITY_BAD_UNIT:
        LOAD_FAULT(l, value->at, "\"%s\" is not a %s: write a whole number and its unit, as in %s%s", shown,
            speech->kind, speech->example, or_off);
        return false;
    }
    return false;
}

static void store64(const struct key_spec *spec, void *into, uint64_t n)
{
    memcpy((char *)into + spec->offset, &n, sizeof n);
}

static void store32(const struct key_spec *spec, void *into, uint32_t n)
{
    memcpy((char *)into + spec->offset, &n, sizeof n);
}

void load_duration(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    uint64_t n = 0;
    if (load_quantity(l, value, spec, &durations, &n)) {
        store64(spec, into, n);
    }
}

void load_size(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    uint64_t n = 0;
    if (load_quantity(l, value, spec, &sizes, &n)) {
        store64(spec, into, n);
    }
}

void load_size32(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    uint64_t n = 0;
    if (load_quantity(l, value, spec, &sizes, &n)) {
        store32(spec, into, (uint32_t)n); /* spec->most is below 4 GiB, and off is not taken */
    }
}

/* ---- So many in a time */

enum { RATE_COUNT_MOST = 1000000 };

static bool rate_parse(struct slice text, struct slice *number, struct rate_rule *out)
{
    static const struct unit times[] = {{"/s", 1000}, {"/m", 60 * 1000}, {"/h", 60 * 60 * 1000}, {NULL, 0}};
    size_t slash = slice_find(text, '/');
    struct slice time = {text.p + slash, text.len - slash};
    *number = (struct slice){text.p, slash};
    for (const struct unit *unit = times; unit->name; unit++) {
        if (slice_eq(slice_from(unit->name), time)) {
            out->per_ms = (uint32_t)unit->factor;
            return true;
        }
    }
    return false;
}

static bool rate_of(struct loader *l, struct place at, struct slice text, struct rate_rule *rate)
{
    static const char example[] = "10/s, 100/m or 1000/h, or off";
    struct slice number;
    char shown[YAML_TREE_SHOWN_MAX];
    uint64_t n = 0;
    bool has_time = rate_parse(text, &number, rate);
    yaml_tree_show(text, shown);
    if (load_is_digits(text)) {
        LOAD_FAULT(l, at, "\"%s\" has no time: write it as in %s", shown, example);
        return false;
    }
    if (!has_time || !load_is_digits(number)) {
        LOAD_FAULT(
            l, at, "\"%s\" is not a rate: write a whole number and its time, as in %s", shown, example);
        return false;
    }
    if (!slice_to_u64(number, RATE_COUNT_MOST, &n)) {
        LOAD_FAULT(l, at, "is too much: the most is %d, and \"off\" sets no limit", RATE_COUNT_MOST);
        return false;
    }
    if (n == 0) {
        LOAD_FAULT(l, at, "is too little: the least is 1, and \"off\" sets no limit");
        return false;
    }
    rate->count = (uint32_t)n;
    return true;
}

void load_rate(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct rate_rule rate = {.count = 0, .per_ms = 1000};
    struct slice text;
    if (load_text(l, value, &text) && (is_off(text) || rate_of(l, value->at, text, &rate))) {
        memcpy((char *)into + spec->offset, &rate, sizeof rate);
    }
}

/* ---- Bare numbers and words */

bool load_number(
    struct loader *l, const struct tree_node *value, uint64_t most, const char *what, uint64_t *out)
{
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!load_text(l, value, &text)) {
        return false;
    }
    yaml_tree_show(text, shown);
    if (!slice_to_u64(text, most, out)) {
        LOAD_FAULT(l, value->at, "\"%s\" is not %s", shown, what);
        return false;
    }
    if (!value->plain) {
        LOAD_FAULT(l, value->at, "is a text: write %s without quotes", shown);
        return false;
    }
    return true;
}

void load_count(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    uint64_t n = 0;
    if (value->kind == TREE_SCALAR && is_off(value->text)) {
        store64(spec, into, UINT64_MAX);
        return;
    }
    if (!load_number(l, value, spec->most, "a number from 1 to 1000000000, or off", &n)) {
        return;
    }
    if (n < spec->least) {
        LOAD_FAULT(l, value->at, "is too little: the least is 1, and \"off\" sets no limit");
    } else {
        store64(spec, into, n);
    }
}

void load_bool(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!load_text(l, value, &text)) {
        return;
    }
    bool yes = slice_eq(text, SLICE("true")), no = slice_eq(text, SLICE("false"));
    yaml_tree_show(text, shown);
    if (!yes && !no) {
        LOAD_FAULT(l, value->at, "\"%s\" is neither true nor false: write one of them", shown);
        return;
    }
    if (!value->plain) {
        LOAD_FAULT(l, value->at, "is a text: write %s without quotes", shown);
        return;
    }
    memcpy((char *)into + spec->offset, &yes, sizeof yes);
}

void load_word(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    enum { WORDS_MAX = 8 };
    const char *names[WORDS_MAX + 1] = {NULL};
    char shown[YAML_TREE_SHOWN_MAX], array[128];
    struct slice text;
    struct text t;
    if (!load_text(l, value, &text)) {
        return;
    }
    text_init(&t, array, sizeof array);
    for (size_t i = 0; i < WORDS_MAX && spec->words[i].text; i++) {
        const struct word *word = &spec->words[i];
        if (slice_eq(slice_from(word->text), text)) {
            memcpy((char *)into + spec->offset, &word->value, sizeof word->value);
            return;
        }
        names[i] = word->text;
        text_addf(&t, "%s%s", i == 0 ? "" : spec->words[i + 1].text ? ", " : " or ", word->text);
    }
    yaml_tree_show(text, shown);
    const char *near = words_nearest(text, names);
    if (near) {
        LOAD_FAULT(l, value->at, "\"%s\" is not %s (did you mean \"%s\"?)", shown, array, near);
    } else {
        LOAD_FAULT(l, value->at, "\"%s\" is not one of its words: write %s", shown, array);
    }
}
