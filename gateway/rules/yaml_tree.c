#include "rules/yaml_tree.h"

#include "base/text.h"
#include "proto/utf8.h"
#include <string.h>
#include <yaml.h>

/* A collection that is being filled. */
struct level {
    struct tree_node *node;
    struct tree_node **tail; /* where its next child is hung */
    bool has_key;            /* mapping: a key was read, its value comes next */
    bool key_broken;
    struct slice key;
    struct place key_at;
};

struct builder {
    struct arena *arena;
    struct faults *faults;
    struct tree_node *root;
    struct level levels[YAML_TREE_DEPTH_MAX];
    unsigned depth;
    unsigned nodes;
    char where[256];
};

enum verdict { GO_ON, GIVE_UP };

static struct place place_of(yaml_mark_t mark)
{
    /* The text is at most a few MiB long (rules/load.h), so both fit. */
    return (struct place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static enum verdict no_memory(struct builder *b, struct place at)
{
    faults_error(b->faults, at, "", "no memory is left");
    return GIVE_UP;
}

/* ---- The bytes: UTF-8 (RFC 3629) of the characters that YAML 1.1 allows (5.1). libyaml looks too, but
 * cannot say at which line. */

/* The length of the character at `p`, its value in *value; 0 when it is not UTF-8. */
static size_t next_character(const uint8_t *p, size_t left, uint32_t *value)
{
    struct utf8 u = {0};
    for (size_t i = 0; i < left && utf8_feed(&u, p + i, 1); i++) {
        if (i == 0) {
            *value = u.left > 0 ? p[0] & (0x3Fu >> u.left) : p[0];
        } else {
            *value = *value << 6 | (p[i] & 0x3F);
        }
        if (utf8_whole(&u)) {
            return i + 1;
        }
    }
    return 0;
}

static bool character_is_allowed(uint32_t v)
{
    if (v < 0x20) {
        return v == '\t' || v == '\n' || v == '\r';
    }
    if (v >= 0x7F && v < 0xA0) {
        return v == 0x85;
    }
    return v != 0xFEFF && v != 0xFFFE && v != 0xFFFF;
}

/* Where the next character stands after one of that value at `at`, before `rest`. */
static struct place behind(struct place at, uint32_t value, struct slice rest)
{
    bool line_ends = value == '\n' || (value == '\r' && (rest.len == 0 || rest.p[0] != '\n')) ||
                     value == 0x85 || value == 0x2028 || value == 0x2029;
    return line_ends ? (struct place){at.line + 1, 1} : (struct place){at.line, at.column + 1};
}

static bool bytes_are_fine(struct slice text, struct faults *faults)
{
    struct place at = {1, 1};
    for (size_t i = 0; i < text.len;) {
        uint32_t value = 0;
        size_t len = next_character((const uint8_t *)text.p + i, text.len - i, &value);
        if (len == 0) {
            faults_error(faults, at, "", "byte 0x%02x is not UTF-8: save the file as UTF-8",
                (unsigned)(unsigned char)text.p[i]);
            return false;
        }
        if (!character_is_allowed(value)) {
            faults_error(
                faults, at, "", "character U+%04X is not allowed in YAML: take it out", (unsigned)value);
            return false;
        }
        i += len;
        at = behind(at, value, (struct slice){text.p + i, text.len - i});
    }
    return true;
}

void yaml_tree_show(struct slice s, char out[YAML_TREE_SHOWN_MAX])
{
    enum { MARK_LEN = 3 };
    size_t n = 0;
    for (size_t i = 0; i < s.len;) {
        uint32_t value = 0;
        size_t len = next_character((const uint8_t *)s.p + i, s.len - i, &value);
        bool shown = len > 0 && character_is_allowed(value) && value >= 0x20 && value != 0x85 &&
                     value != 0x2028 && value != 0x2029;
        size_t room = len == 0 || !shown ? 1 : len;
        if (n + room > YAML_TREE_SHOWN_MAX - 1 - MARK_LEN) {
            memcpy(out + n, "...", MARK_LEN);
            n += MARK_LEN;
            break;
        }
        if (shown) {
            memcpy(out + n, s.p + i, len);
        } else {
            out[n] = '?';
        }
        n += room;
        i += len == 0 ? 1 : len;
    }
    out[n] = '\0';
}

/* ---- The tree */

/* The dotted way to the place that is being filled, ending in `last` where a key stands there. */
static const char *where(struct builder *b, const struct slice *last)
{
    struct text t;
    text_init(&t, b->where, sizeof b->where);
    for (unsigned i = 0; i < b->depth; i++) {
        const struct level *level = &b->levels[i];
        bool is_top = i + 1 == b->depth; /* those below it have counted the child that is under way */
        if (level->node->kind == TREE_LIST) {
            text_addf(&t, "[%u]", level->node->count - !is_top);
            continue;
        }
        const struct slice *key = level->has_key == is_top ? &level->key : is_top ? last : NULL;
        char shown[YAML_TREE_SHOWN_MAX];
        if (!key) {
            continue; /* inside a key that is a collection */
        }
        yaml_tree_show(*key, shown);
        text_addf(&t, "%s%s", t.len > 0 ? "." : "", shown);
    }
    return b->where;
}

static struct level *top(struct builder *b)
{
    return b->depth == 0 ? NULL : &b->levels[b->depth - 1];
}

static bool key_is_there(const struct tree_node *map, struct slice key, struct place *at)
{
    const struct tree_node *there = yaml_tree_find(map, key);
    if (there) {
        *at = there->key_at;
    }
    return there != NULL;
}

static enum verdict take_key(struct builder *b, struct level *level, const struct tree_node *node)
{
    struct place before;
    bool key_broken = node->broken;
    if (node->kind != TREE_SCALAR) {
        faults_error(
            b->faults, node->at, where(b, NULL), "a key has to be one word, not a list or a mapping");
        key_broken = true;
    } else if (!node->broken && key_is_there(level->node, node->text, &before)) {
        faults_error(b->faults, node->at, where(b, &node->text),
            "is repeated: it stands at line %u already, so take one of them out", before.line);
        key_broken = true;
    }
    level->has_key = true;
    level->key = node->text;
    level->key_at = node->at;
    level->key_broken = key_broken;
    return GO_ON;
}

/* Hangs `node` where the text has it. */
static enum verdict add(struct builder *b, struct tree_node *node)
{
    struct level *level = top(b);
    if (!level) {
        b->root = node;
        return GO_ON;
    }
    if (level->node->kind == TREE_MAP && !level->has_key) {
        return take_key(b, level, node);
    }
    if (level->node->kind == TREE_MAP) {
        level->has_key = false;
        if (level->key_broken) {
            return GO_ON; /* a value without a name: nobody will ask for it */
        }
        node->key = level->key;
        node->key_at = level->key_at;
    }
    *level->tail = node;
    level->tail = &node->next;
    level->node->count++;
    return GO_ON;
}

/* Anchors and tags would let a file mean more than it shows. */
static bool is_decorated(
    struct builder *b, struct place at, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor) {
        faults_error(b->faults, at, where(b, NULL),
            "anchors (&name) are not supported: write the value where it is used");
    }
    if (tag) {
        faults_error(b->faults, at, where(b, NULL), "tags (!name) are not supported: write the value alone");
    }
    return anchor || tag;
}

static struct tree_node *node_new(struct builder *b, enum tree_kind kind, struct place at)
{
    if (++b->nodes > YAML_TREE_NODES_MAX) {
        faults_error(b->faults, at, "", "the file has more than %d values", YAML_TREE_NODES_MAX);
        return NULL;
    }
    struct tree_node *node = arena_alloc(b->arena, sizeof *node);
    if (!node) {
        (void)no_memory(b, at);
        return NULL;
    }
    node->kind = kind;
    node->at = at;
    return node;
}

static enum verdict on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct place at = place_of(event->start_mark);
    struct tree_node *node = node_new(b, TREE_SCALAR, at);
    if (!node) {
        return GIVE_UP;
    }
    struct slice value = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const char *copy = arena_copy(b->arena, value);
    if (!copy) {
        return no_memory(b, at);
    }
    node->text = (struct slice){copy, value.len};
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->broken = is_decorated(b, at, event->data.scalar.anchor, event->data.scalar.tag);
    return add(b, node);
}

static enum verdict on_alias(struct builder *b, const yaml_event_t *event)
{
    struct place at = place_of(event->start_mark);
    struct tree_node *node = node_new(b, TREE_SCALAR, at);
    if (!node) {
        return GIVE_UP;
    }
    faults_error(b->faults, at, where(b, NULL),
        "aliases (*name) are not supported: write the value itself, or in quotes where a star is meant");
    node->broken = true;
    node->text = SLICE("");
    return add(b, node);
}

static enum verdict on_start(struct builder *b, enum tree_kind kind, const yaml_event_t *event)
{
    struct place at = place_of(event->start_mark);
    struct tree_node *node = node_new(b, kind, at);
    if (!node) {
        return GIVE_UP;
    }
    if (b->depth == YAML_TREE_DEPTH_MAX) {
        faults_error(b->faults, at, where(b, NULL), "nested more than %d deep", YAML_TREE_DEPTH_MAX);
        return GIVE_UP;
    }
    node->broken =
        kind == TREE_LIST
            ? is_decorated(b, at, event->data.sequence_start.anchor, event->data.sequence_start.tag)
            : is_decorated(b, at, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    enum verdict verdict = add(b, node);
    b->levels[b->depth++] = (struct level){.node = node, .tail = &node->first};
    return verdict;
}

static enum verdict on_document(struct builder *b, const yaml_event_t *event)
{
    struct place at = place_of(event->start_mark);
    if (b->root) {
        faults_error(b->faults, at, "", "a second document starts here: a configuration is one");
        return GIVE_UP;
    }
    if (event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end) {
        faults_error(b->faults, at, "", "%%TAG is not supported: take it out");
    }
    return GO_ON;
}

static enum verdict on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return GO_ON;
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, TREE_LIST, event);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, TREE_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return GO_ON;
    }
    return GO_ON;
}

/* ---- What the parser says, in the words of this house */

/* `text`, which is UTF-8, from that place on. */
static struct slice rest_at(struct slice text, struct place at)
{
    struct place here = {1, 1};
    while (text.len > 0 && (here.line < at.line || (here.line == at.line && here.column < at.column))) {
        uint32_t value = 0;
        size_t len = next_character((const uint8_t *)text.p, text.len, &value);
        text = (struct slice){text.p + len, text.len - len};
        here = behind(here, value, text);
    }
    return text;
}

/* 0 where the text has ended. */
static char byte_at(struct slice text, struct place at)
{
    struct slice rest = rest_at(text, at);
    return rest.len > 0 ? rest.p[0] : '\0';
}

/* The innermost { or [ that is still open, and its place; 0 where it cannot be told. */
static char open_bracket(const struct builder *b, struct slice text, struct place *at)
{
    for (unsigned i = b->depth; i > 0 && !b->levels[i - 1].node->broken; i--) {
        *at = b->levels[i - 1].node->at;
        char byte = byte_at(text, *at);
        if (byte == '{' || byte == '[') {
            return byte;
        } /* else the one pair of [a: b] */
    }
    return '\0';
}

/* False: it is none of the faults that are usual between { and }, or [ and ]. */
static bool tell_flow_error(struct builder *b, struct place at, const char *context, struct slice text)
{
    struct place from = {0, 0};
    struct slice rest = rest_at(text, at);
    char bracket = open_bracket(b, text, &from);
    char close = bracket == '{' ? '}' : ']';
    if (!strstr(context, "while parsing a flow") || !bracket) {
        return false;
    }
    if (slice_starts(rest, SLICE(":")) && strstr(context, "flow node")) {
        char shown[YAML_TREE_SHOWN_MAX];
        size_t len = 0;
        while (len < rest.len && !strchr(",]} \t\r\n\"", rest.p[len])) {
            len++;
        }
        yaml_tree_show((struct slice){rest.p, len}, shown);
        faults_error(b->faults, at, "",
            "bad YAML: a text that starts with : has to be in quotes here: write \"%s\"", shown);
    } else if (slice_starts(rest, SLICE(":")) && from.line == at.line) {
        faults_error(b->faults, at, "",
            "bad YAML: a colon too many: write a comma before this key, or put the text in quotes");
    } else {
        bool same_line = from.line == at.line;
        faults_error(b->faults, at, "", "bad YAML: the %c of %s %u is not closed: write %c%s", bracket,
            same_line ? "column" : "line", same_line ? from.column : from.line, close,
            rest.len > 0 ? " or a comma before this" : " where it ends");
    }
    return true;
}

static void tell_parser_error(struct builder *b, const yaml_parser_t *parser, struct slice text)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        (void)no_memory(b, (struct place){0, 0});
        return;
    }
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    const char *context = parser->context ? parser->context : "";
    struct place at = place_of(parser->problem_mark), from = place_of(parser->context_mark);
    if (parser->error == YAML_SCANNER_ERROR && byte_at(text, at) == '\t') {
        faults_error(b->faults, at, "", "bad YAML: a tab cannot indent: write spaces");
    } else if (tell_flow_error(b, at, context, text)) {
        return;
    } else if (strstr(problem, "cannot start any token")) {
        faults_error(
            b->faults, at, "", "bad YAML: a text that starts with %c has to be in quotes", byte_at(text, at));
    } else if (strstr(context, "alias")) {
        faults_error(b->faults, from, "",
            "bad YAML: a text that starts with a star has to be in quotes, as in \"*.example.com\"");
    } else if (from.line < at.line && *context) {
        faults_error(b->faults, at, "", "bad YAML: %s %s (from line %u on)", problem, context, from.line);
    } else {
        faults_error(b->faults, at, "", "bad YAML: %s%s%s", problem, *context ? " " : "", context);
    }
}

/* False when the tree is of no use. */
static bool build(struct builder *b, yaml_parser_t *parser, struct slice text)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            tell_parser_error(b, parser, text);
            return false;
        }
        bool ends = event.type == YAML_STREAM_END_EVENT;
        enum verdict verdict = on_event(b, &event);
        yaml_event_delete(&event);
        if (verdict == GIVE_UP) {
            return false;
        }
        if (ends) {
            return true;
        }
    }
}

struct tree_node *yaml_tree_parse(struct arena *arena, struct slice text, struct faults *faults)
{
    static const struct slice byte_order_mark = {"\xEF\xBB\xBF", 3};
    if (slice_starts(text, byte_order_mark)) {
        text = (struct slice){text.p + 3, text.len - 3};
    }
    if (!bytes_are_fine(text, faults)) {
        return NULL;
    }

    struct builder b = {.arena = arena, .faults = faults};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        (void)no_memory(&b, (struct place){0, 0});
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len ? text.p : ""), text.len);
    bool fine = build(&b, &parser, text);
    yaml_parser_delete(&parser);
    if (fine && !b.root) {
        faults_error(
            faults, (struct place){1, 1}, "", "nothing is in it: see sluice.yaml(5) for what to write");
    }
    return fine ? b.root : NULL;
}

const struct tree_node *yaml_tree_find(const struct tree_node *map, struct slice key)
{
    for (const struct tree_node *child = map->first; child; child = child->next) {
        if (slice_eq(child->key, key)) {
            return child;
        }
    }
    return NULL;
}

bool yaml_tree_is_nothing(const struct tree_node *node)
{
    return node->kind == TREE_SCALAR && node->plain &&
           (node->text.len == 0 || slice_eq(node->text, SLICE("~")) || slice_eq(node->text, SLICE("null")) ||
               slice_eq(node->text, SLICE("Null")) || slice_eq(node->text, SLICE("NULL")));
}
