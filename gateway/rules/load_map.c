#include "base/text.h"
#include "base/words.h"
#include "rules/load_internal.h"

#include <string.h>

enum { MAP_KEYS_MAX = 32 };

void *load_alloc(struct loader *l, size_t size)
{
    void *p = arena_alloc(&l->rules->arena, size);
    if (!p) {
        LOAD_FAULT(l, ((struct place){0, 0}), "no memory is left");
    }
    return p;
}

const char *load_copy(struct loader *l, struct slice s)
{
    const char *copy = arena_copy(&l->rules->arena, s);
    if (!copy) {
        LOAD_FAULT(l, ((struct place){0, 0}), "no memory is left");
    }
    return copy;
}

struct slice load_copy_lower(struct loader *l, struct slice s)
{
    char *copy = load_alloc(l, s.len + 1);
    if (!copy) {
        return SLICE("");
    }
    for (size_t i = 0; i < s.len; i++) {
        copy[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i];
    }
    return (struct slice){copy, s.len};
}

/* ---- The way to the value at hand */

static size_t lengthen(struct loader *l, const char *format, const char *name, unsigned index)
{
    size_t before = l->key_len;
    struct text t;
    text_init(&t, l->key + before, sizeof l->key - before);
    if (name) {
        text_addf(&t, "%s%s", format, name);
    } else {
        text_addf(&t, "[%u]", index);
    }
    l->key_len += t.len;
    return before;
}

size_t load_enter(struct loader *l, const char *name)
{
    return lengthen(l, l->key_len > 0 ? "." : "", name, 0);
}

size_t load_enter_index(struct loader *l, unsigned index)
{
    return lengthen(l, "", NULL, index);
}

void load_leave(struct loader *l, size_t entered)
{
    l->key_len = entered;
    l->key[entered] = '\0';
}

/* ---- Mappings */

static void list_names(const struct key_spec *keys, const char *names[MAP_KEYS_MAX + 1])
{
    size_t n = 0;
    for (; keys->name && n < MAP_KEYS_MAX; keys++) {
        if (!keys->refusal) {
            names[n++] = keys->name;
        }
    }
    names[n] = NULL;
}

static void join_names(const char *const *names, struct text *t)
{
    for (size_t i = 0; names[i]; i++) {
        text_addf(t, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " and ", names[i]);
    }
}

static bool is_known(const struct key_spec *keys, struct slice name)
{
    for (; keys->name; keys++) {
        if (slice_eq(slice_from(keys->name), name)) {
            return true;
        }
    }
    return false;
}

bool load_was_meant(const struct tree_node *map, const struct key_spec *keys, const char *name)
{
    const char *names[MAP_KEYS_MAX + 1];
    list_names(keys, names);
    for (const struct tree_node *child = map->first; child; child = child->next) {
        const char *near = is_known(keys, child->key) ? NULL : words_nearest(child->key, names);
        if (near && strcmp(near, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a key of the top stands too deep: in a mapping below the top, or in one that a list there has. */
static bool stands_below(const struct tree_node *root, const char *name)
{
    struct slice key = slice_from(name);
    for (const struct tree_node *child = root->first; child; child = child->next) {
        if (child->kind == TREE_MAP && yaml_tree_find(child, key)) {
            return true;
        }
        for (const struct tree_node *item = child->first; child->kind == TREE_LIST && item;
             item = item->next) {
            if (item->kind == TREE_MAP && yaml_tree_find(item, key)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_of_the_top(const struct loader *l, struct slice name)
{
    for (const struct key_spec *spec = l->root_keys; spec && spec->name; spec++) {
        if (!spec->refusal && slice_eq(slice_from(spec->name), name)) {
            return true;
        }
    }
    return false;
}

static void tell_unknown(struct loader *l, const struct tree_node *child, const struct key_spec *keys)
{
    const char *names[MAP_KEYS_MAX + 1];
    char shown[YAML_TREE_SHOWN_MAX];
    list_names(keys, names);
    yaml_tree_show(child->key, shown);
    size_t entered = load_enter(l, shown);
    const char *near = words_nearest(child->key, names);
    if (is_of_the_top(l, child->key)) {
        LOAD_FAULT(
            l, child->key_at, "unknown key here; move it to the left: it belongs to the top of the file");
    } else if (near) {
        LOAD_FAULT(l, child->key_at, "unknown key (did you mean \"%s\"?)", near);
    } else {
        char array[400];
        struct text t;
        text_init(&t, array, sizeof array);
        join_names(names, &t);
        LOAD_FAULT(l, child->key_at, "unknown key; the keys here are %s", array);
    }
    load_leave(l, entered);
}

/* Not where the key is there under another name, or at another place: that is told there. */
static void tell_missing(
    struct loader *l, const struct tree_node *map, const struct key_spec *keys, const struct key_spec *spec)
{
    bool elsewhere = map == l->root && stands_below(map, spec->name);
    if (!elsewhere && !load_was_meant(map, keys, spec->name)) {
        LOAD_FAULT(l, map->at, "is missing: write %s", spec->missing);
    }
}

static void load_key(struct loader *l, const struct tree_node *map, const struct key_spec *keys,
    const struct key_spec *spec, void *into)
{
    const struct tree_node *value = yaml_tree_find(map, slice_from(spec->name));
    size_t entered = load_enter(l, spec->name);
    if (!value) {
        if (spec->missing) {
            tell_missing(l, map, keys, spec);
        }
    } else if (spec->refusal) {
        LOAD_FAULT(l, value->key_at, "%s", spec->refusal);
    } else if (yaml_tree_is_nothing(value)) {
        if (!value->broken) {
            LOAD_FAULT(l, value->key_at, "has no value: write %s",
                spec->missing ? spec->missing : "one, or take the key out");
        }
    } else if (!value->broken) {
        spec->load(l, value, spec, into);
    }
    load_leave(l, entered);
}

void load_map(struct loader *l, const struct tree_node *map, const struct key_spec *keys, void *into)
{
    if (map->broken) {
        return;
    }
    if (map->kind != TREE_MAP) {
        const char *names[MAP_KEYS_MAX + 1];
        char array[400];
        struct text t;
        list_names(keys, names);
        text_init(&t, array, sizeof array);
        join_names(names, &t);
        LOAD_FAULT(l, map->at, "has to be a mapping; the keys here are %s", array);
        return;
    }
    for (const struct key_spec *spec = keys; spec->name; spec++) {
        load_key(l, map, keys, spec, into);
    }
    for (const struct tree_node *child = map->first; child; child = child->next) {
        if (!is_known(keys, child->key)) {
            tell_unknown(l, child, keys);
        }
    }
}

void load_tell_scalar(struct loader *l, const struct tree_node *item, const struct key_spec *spec,
    const char *key, const char *scheme)
{
    char shown[YAML_TREE_SHOWN_MAX];
    bool in_list = l->key_len > 0 && l->key[l->key_len - 1] == ']';
    yaml_tree_show(item->text, shown);
    if (!scheme) {
        const char *colon = strchr(spec->missing, ':');
        LOAD_FAULT(l, item->at, "has to be a mapping: write %s",
            in_list && colon ? colon + strspn(colon, ": ") : spec->missing);
        return;
    }
    /* What YAML would read as something else has to be in quotes. */
    const char *quote = (*scheme ? *scheme : *shown) == ':' || strpbrk(shown, "[]{},# ") ? "\"" : "";
    LOAD_FAULT(l, item->at, "has to be a mapping: write %s%s{%s: %s%s%s%s}", in_list ? "" : spec->name,
        in_list ? "" : ": ", key, quote, scheme, shown, quote);
}

void load_mapping(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    load_map(l, value, spec->keys, (char *)into + spec->offset);
}

/* ---- Lists */

static void load_one(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    if (item->broken) {
        return;
    }
    if (yaml_tree_is_nothing(item)) {
        LOAD_FAULT(l, item->at, "has no value: write one, or take the item out");
    } else {
        spec->load_item(l, item, spec, into);
    }
}

void load_list(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    bool is_list = value->kind == TREE_LIST;
    size_t count = is_list ? value->count : 1;
    if (count == 0) {
        LOAD_FAULT(l, value->at, "is an empty list: write %s",
            spec->missing ? spec->missing : "one value or more, or take the key out");
        return;
    }
    char *array = load_alloc(l, count * spec->item_size);
    if (!array) {
        return;
    }
    memcpy((char *)into + spec->offset, &array, sizeof array);
    memcpy((char *)into + spec->count_offset, &count, sizeof count);
    if (!is_list) {
        load_one(l, value, spec, array);
        return;
    }
    unsigned index = 0;
    for (const struct tree_node *item = value->first; item; item = item->next, index++) {
        size_t entered = load_enter_index(l, index);
        load_one(l, item, spec, array + index * spec->item_size);
        load_leave(l, entered);
    }
}
