#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules/yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A tree as a line: scalars as they are (quoted ones in ''), [lists], {key: value}, each with
 * @line:column;
 * "!" marks what is broken. */

static void write_tree(const struct tree_node *node, FILE *out)
{
    if (node->broken)
        fputc('!', out);
    switch (node->kind) {
    case TREE_SCALAR:
        fprintf(out, node->plain || node->broken ? "%.*s" : "'%.*s'", SLICE_ARG(node->text));
        break;
    case TREE_LIST:
        fputc('[', out);
        for (const struct tree_node *child = node->first; child; child = child->next) {
            write_tree(child, out);
            fputs(child->next ? ", " : "", out);
        }
        fputc(']', out);
        break;
    case TREE_MAP:
        fputc('{', out);
        for (const struct tree_node *child = node->first; child; child = child->next) {
            fprintf(out, "%.*s@%u:%u: ", SLICE_ARG(child->key), child->key_at.line, child->key_at.column);
            write_tree(child, out);
            fputs(child->next ? ", " : "", out);
        }
        fputc('}', out);
        break;
    }
    fprintf(out, "@%u:%u", node->at.line, node->at.column);
}

/* The tree of `text` as a line ("-" for none), and below it what was told. */
static char *shown(struct slice text)
{
    char *result = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&result, &len);
    assert_non_null(out);
    struct arena arena;
    struct faults faults;
    arena_init(&arena);
    faults_init(&faults);
    const struct tree_node *root = yaml_tree_parse(&arena, text, &faults);
    if (root)
        write_tree(root, out);
    else
        fputc('-', out);
    fputc('\n', out);
    faults_print(&faults, "f", out);
    assert_true(root || faults.error_count > 0);
    assert_int_equal(fclose(out), 0);
    faults_fini(&faults);
    arena_fini(&arena);
    return result;
}

struct row {
    const char *text;
    const char *shown;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *got = shown(slice_from(rows[i].text));
        assert_string_equal(got, rows[i].shown);
        free(got);
    }
}

#define CHECK(rows) check((rows), sizeof(rows) / sizeof *(rows))

static void every_node_knows_its_place(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a", "a@1:1\n"},
        {"  'a b'", "'a b'@1:3\n"},
        {"[]", "[]@1:1\n"},
        {"{}", "{}@1:1\n"},
        {"a: 1\nb:\n  - x\n  - \"y\"\n", "{a@1:1: 1@1:4, b@2:1: [x@3:5, 'y'@4:5]@3:3}@1:1\n"},
        {"a: {b: [1, {c: d}]}", "{a@1:1: {b@1:5: [1@1:9, {c@1:13: d@1:16}@1:12]@1:8}@1:4}@1:1\n"},
        {"# c\n\na:\nb: ~\n", "{a@3:1: @3:3, b@4:1: ~@4:4}@3:1\n"},
        {"\"k\\x41\": |\n  x\n  y\n", "{kA@1:1: 'x\ny\n'@1:10}@1:1\n"},
        {"a: \xC3\xBC\xC3\xBC # \xE2\x82\xAC\nb: x", "{a@1:1: \xC3\xBC\xC3\xBC@1:4, b@2:1: x@2:4}@1:1\n"},
        {"[\xC3\xBC, x]", "[\xC3\xBC@1:2, x@1:5]@1:1\n"},
        {"\xEF\xBB\xBF"
         "a: b",
            "{a@1:1: b@1:4}@1:1\n"},
        {"a: b\r\nc: d\r\n", "{a@1:1: b@1:4, c@2:1: d@2:4}@1:1\n"},
        {"%YAML 1.1\n---\na\n...\n", "a@3:1\n"},
    };
    CHECK(rows);
}

static void what_is_left_out_of_yaml_is_told_with_its_way(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a: 1\na: 2\nb: 3\na: 4\n",
            "{a@1:1: 1@1:4, b@3:1: 3@3:4}@1:1\n"
            "f:2:1: a: is repeated: it stands at line 1 already, so take one of them out\n"
            "f:4:1: a: is repeated: it stands at line 1 already, so take one of them out\n"},
        {"r: [x, {a: 1, 'a': {b: c}}]\n",
            "{r@1:1: [x@1:5, {a@1:9: 1@1:12}@1:8]@1:4}@1:1\n"
            "f:1:15: r[1].a: is repeated: it stands at line 1 already, so take one of them out\n"},
        {"a: &x 1\nb: [&y [], &z {}]\n",
            "{a@1:1: !1@1:4, b@2:1: [![]@2:5, !{}@2:12]@2:4}@1:1\n"
            "f:1:4: a: anchors (&name) are not supported: write the value where it is used\n"
            "f:2:5: b[0]: anchors (&name) are not supported: write the value where it is used\n"
            "f:2:12: b[1]: anchors (&name) are not supported: write the value where it is used\n"},
        {"a: [b, *x]\n",
            "{a@1:1: [b@1:5, !@1:8]@1:4}@1:1\n"
            "f:1:8: a[1]: aliases (*name) are not supported: write the value itself, or in quotes where a "
            "star is meant\n"},
        {"*a : b\n",
            "{}@1:1\n"
            "f:1:1: aliases (*name) are not supported: write the value itself, or in quotes where a star is "
            "meant\n"},
        {"a: !!int 1\nb: ! x\nc: !t {}\n",
            "{a@1:1: !1@1:4, b@2:1: !x@2:4, c@3:1: !{}@3:4}@1:1\n"
            "f:1:4: a: tags (!name) are not supported: write the value alone\n"
            "f:2:4: b: tags (!name) are not supported: write the value alone\n"
            "f:3:4: c: tags (!name) are not supported: write the value alone\n"},
        {"%TAG ! tag:x:\n---\na\n", "a@3:1\nf:1:1: %TAG is not supported: take it out\n"},
        {"? [a]\n: b\nc: d\n",
            "{c@3:1: d@3:4}@1:1\nf:1:3: a key has to be one word, not a list or a mapping\n"},
        {"? {a: &x 1}\n: b\n",
            "{}@1:1\n"
            "f:1:3: a key has to be one word, not a list or a mapping\n"
            "f:1:7: a: anchors (&name) are not supported: write the value where it is used\n"},
        {"\"a\\nb\": &x y\n",
            "{a\nb@1:1: !y@1:9}@1:1\n"
            "f:1:9: a?b: anchors (&name) are not supported: write the value where it is used\n"},
    };
    CHECK(rows);
}

static void what_cannot_be_read_has_no_tree(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "-\nf:1:1: nothing is in it: see sluice.yaml(5) for what to write\n"},
        {"---\n---\n", "-\nf:2:1: a second document starts here: a configuration is one\n"},
        {"a\n--- b\n", "-\nf:2:1: a second document starts here: a configuration is one\n"},
        {"a:\n\tb: c\n", "-\nf:2:1: bad YAML: a tab cannot indent: write spaces\n"},
        {"a: @b\n", "-\nf:1:4: bad YAML: a text that starts with @ has to be in quotes\n"},
        {"a: *.b\n", "-\nf:1:4: bad YAML: a text that starts with a star has to be in quotes, as in "
                     "\"*.example.com\"\n"},
        {"a: b: c\n", "-\nf:1:5: bad YAML: mapping values are not allowed in this context\n"},
        {"a: {b\n\n", "-\nf:3:1: bad YAML: the { of line 1 is not closed: write } where it ends\n"},
        {"a: [b,\n  {c: [d, e}]\n",
            "-\nf:2:12: bad YAML: the [ of column 7 is not closed: write ] or a comma before this\n"},
        {"a: {b: c\nd: e\n", "-\nf:2:2: bad YAML: the { of line 1 is not closed: write } or a comma before "
                             "this\n"},
        {"x:\n  - {a: b\n  - {c: d}\n",
            "-\nf:3:5: bad YAML: the { of line 2 is not closed: write } or a comma before this\n"},
        {"[", "-\nf:2:1: bad YAML: the [ of line 1 is not closed: write ] where it ends\n"},
        {"[\xC3\xBC: {b,\n", "-\nf:2:1: bad YAML: the { of line 1 is not closed: write } where it ends\n"},
        {"[a: b", "-\nf:2:1: bad YAML: the [ of line 1 is not closed: write ] where it ends\n"},
        {"{address: :8443}\n",
            "-\nf:1:11: bad YAML: a text that starts with : has to be in quotes here: write \":8443\"\n"},
        {"a: [\xC3\xBC,\r\n  \xC3\xBC, ::1, b]\n",
            "-\nf:2:6: bad YAML: a text that starts with : has to be in quotes here: write \"::1\"\n"},
        {"a: {b: :", "-\nf:1:8: bad YAML: a text that starts with : has to be in quotes here: write \":\"\n"},
        {"a: {b: c d: e}\n", "-\nf:1:11: bad YAML: a colon too many: write a comma before this key, or put "
                             "the text in quotes\n"},
        {"a: [b: &x {c]\n",
            "-\nf:1:8: a[0].b: anchors (&name) are not supported: write the value where it is used\n"
            "f:1:13: bad YAML: did not find expected ',' or '}' while parsing a flow mapping\n"},
        {"\n\"a\n", "-\nf:3:1: bad YAML: found unexpected end of stream while scanning a quoted scalar (from "
                    "line 2 on)\n"},
        {"a: b\n\x01", "-\nf:2:1: character U+0001 is not allowed in YAML: take it out\n"},
        {"a: \x7F", "-\nf:1:4: character U+007F is not allowed in YAML: take it out\n"},
        {"a: \xEF\xBB\xBF", "-\nf:1:4: character U+FEFF is not allowed in YAML: take it out\n"},
        {"\xC3\xBC: \xFF", "-\nf:1:4: byte 0xff is not UTF-8: save the file as UTF-8\n"},
        {"a\n\xC3", "-\nf:2:1: byte 0xc3 is not UTF-8: save the file as UTF-8\n"},
        {"\xC0\x80", "-\nf:1:1: byte 0xc0 is not UTF-8: save the file as UTF-8\n"},
        {"\xED\xA0\x80", "-\nf:1:1: byte 0xed is not UTF-8: save the file as UTF-8\n"},
        {"\xFF\xFE"
         "a",
            "-\nf:1:1: byte 0xff is not UTF-8: save the file as UTF-8\n"},
    };
    CHECK(rows);
    char *got = shown((struct slice){"a\0b", 3});
    assert_string_equal(got, "-\nf:1:2: character U+0000 is not allowed in YAML: take it out\n");
    free(got);
}

/* `count` times `piece` between `before` and `after`. */
static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
    char *text = malloc(strlen(before) + strlen(piece) * count + strlen(after) + 1);
    assert_non_null(text);
    char *end = stpcpy(text, before);
    for (size_t i = 0; i < count; i++)
        end = stpcpy(end, piece);
    strcpy(end, after);
    return text;
}

static void assert_end_of(char *text, const char *expected_end)
{
    char *got = shown(slice_from(text));
    size_t got_len = strlen(got), end_len = strlen(expected_end);
    assert_true(got_len >= end_len);
    assert_string_equal(got + got_len - end_len, expected_end);
    free(got);
    free(text);
}

static void depth_and_size_are_bounded(void **state)
{
    (void)state;
    assert_end_of(repeat("[[[[[[[[[[[[[[[[", "", 0, "]]]]]]]]]]]]]]]]"), "]@1:1\n");
    assert_end_of(repeat("a: ", "[", 16, ""), "nested more than 16 deep\n");
    assert_end_of(repeat("", "{a: ", 17, ""), "nested more than 16 deep\n");
    assert_end_of(repeat("", "[", 100000, ""), "nested more than 16 deep\n");
    assert_end_of(repeat("[", "a,", YAML_TREE_NODES_MAX - 1, "]"), "]@1:1\n");
    assert_end_of(repeat("[", "a,", YAML_TREE_NODES_MAX, "]"), "the file has more than 20000 values\n");
}

static void what_is_shown_is_short_and_on_one_line(void **state)
{
    (void)state;
    char out[YAML_TREE_SHOWN_MAX];
    yaml_tree_show(SLICE("a\n\x1b[2J\x7F\xC2\x85\xE2\x80\xA8\xFF \xC3\xBC"), out);
    assert_string_equal(out, "a??[2J???? \xC3\xBC");
    yaml_tree_show((struct slice){"a\0b", 3}, out);
    assert_string_equal(out, "a?b");
    char *text = repeat("", "\xE2\x82\xAC", 100, "");
    yaml_tree_show(slice_from(text), out);
    free(text);
    text = repeat("", "\xE2\x82\xAC", 20, "...");
    assert_string_equal(out, text);
    free(text);
}

static void only_bare_words_are_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool nothing;
    } rows[] = {
        {"a:", true},
        {"a: ~", true},
        {"a: null", true},
        {"a: NULL", true},
        {"a: ''", false},
        {"a: '~'", false},
        {"a: \"null\"", false},
        {"a: nul", false},
        {"a: []", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct faults faults;
        arena_init(&arena);
        faults_init(&faults);
        const struct tree_node *root = yaml_tree_parse(&arena, slice_from(rows[i].text), &faults);
        assert_non_null(root);
        assert_int_equal(yaml_tree_is_nothing(yaml_tree_find(root, SLICE("a"))), rows[i].nothing);
        assert_null(yaml_tree_find(root, SLICE("b")));
        faults_fini(&faults);
        arena_fini(&arena);
    }
}

/* Every beginning of a text gives a tree or a fault, which shown() sees to. */
static void a_text_can_end_anywhere(void **state)
{
    (void)state;
    static const char text[] =
        "a: &x [1, \"\\u20ac\\x00\", *x]\n? {b: !t c}\n: |+\n  d\n\n'e': \xE2\x82\xAC\n--- %\n";
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = malloc(len > 0 ? len : 1); /* so that a sanitizer sees a step too far */
        assert_non_null(copy);
        memcpy(copy, text, len);
        free(shown((struct slice){copy, len}));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(what_is_left_out_of_yaml_is_told_with_its_way),
        cmocka_unit_test(what_cannot_be_read_has_no_tree),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(what_is_shown_is_short_and_on_one_line),
        cmocka_unit_test(only_bare_words_are_nothing),
        cmocka_unit_test(a_text_can_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
