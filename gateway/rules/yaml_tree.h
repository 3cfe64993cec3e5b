/* A YAML text as a tree of scalars, lists and mappings that knows where each piece stands.
 *
 * Takes the part of YAML that a configuration needs: one document, UTF-8, no anchors, aliases, tags or
 * repeated keys, at most YAML_TREE_DEPTH_MAX deep and YAML_TREE_NODES_MAX nodes. Safe for any input;
 * everything lives in the caller's arena. This is the one room where libyaml is known. */
#ifndef SLUICE_RULES_YAML_TREE_H
#define SLUICE_RULES_YAML_TREE_H

#include "base/arena.h"
#include "rules/faults.h"

enum {
    YAML_TREE_DEPTH_MAX = 16,
    YAML_TREE_NODES_MAX = 20000,
    YAML_TREE_SHOWN_MAX = 64,
};

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_node {
    enum tree_kind kind;
    bool plain;              /* scalar: written without quotes, so it may be a number, a word, or nothing */
    bool broken;             /* its fault has been told: whoever reads it passes over it in silence */
    struct place at;         /* where it starts */
    struct place key_at;     /* below a mapping: where its key starts */
    struct slice key;        /* below a mapping */
    struct slice text;       /* scalar: its value, which may hold any byte that a quoted one can escape */
    struct tree_node *first; /* list, mapping: its first child, or NULL */
    struct tree_node *next;  /* the next child of the same parent, or NULL */
    unsigned count;          /* children */
};

/* The tree of `text`; NULL where there is none to speak of (bad syntax, over a bound, nothing in it, no
 * memory), and then `faults` has an error. Where a tree is answered there may be errors too. */
struct tree_node *yaml_tree_parse(struct arena *arena, struct slice text, struct faults *faults);

/* The child of that key, or NULL. */
const struct tree_node *yaml_tree_find(const struct tree_node *map, struct slice key);

/* `s` as it may stand in a diagnostic: cut where it is long, and nothing in it that ends a line or steers a
 * terminal. */
void yaml_tree_show(struct slice s, char out[YAML_TREE_SHOWN_MAX]);

/* A key without a value, `~` or `null`. */
bool yaml_tree_is_nothing(const struct tree_node *node);

#endif
