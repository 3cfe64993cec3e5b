#include "rules/faults.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_TEXT_MAX = 1024, FIRST_CAP = 16 };

void faults_init(struct faults *f)
{
    *f = (struct faults){0};
}

void faults_fini(struct faults *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->items[i].text);
    }
    free(f->items);
    faults_init(f);
}

static bool keep(struct faults *f, struct fault fault)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : FIRST_CAP;
        struct fault *items = realloc(f->items, cap * sizeof(*items));
        if (!items) {
            return false;
        }
        f->items = items;
        f->cap = cap;
    }
    f->items[f->count++] = fault;
    return true;
}

/* A fault is one line, and quotes what somebody wrote: no control character of theirs may get out. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = '?';
        }
    }
}

__attribute__((format(printf, 5, 0))) static void add(
    struct faults *f, struct place at, bool warning, const char *key, const char *format, va_list args)
{
    char array[FAULT_TEXT_MAX], said[FAULT_TEXT_MAX];
    struct text text;
    text_init(&text, array, sizeof(array));
    if (vsnprintf(said, sizeof(said), format, args) < 0) {
        said[0] = '\0';
    }
    text_addf(&text, "%s%s%s%s", key, key[0] ? ": " : "", warning ? "warning: " : "", said);
    if (text.cut || strlen(said) == sizeof(said) - 1) {
        text.len -= 3;
        text_addf(&text, "...");
    }
    make_printable(array);

    struct fault fault = {.at = at, .warning = warning, .text = strdup(array)};
    if (!warning) {
        f->error_count++;
    }
    if (!fault.text || !keep(f, fault)) {
        free(fault.text);
        f->lost = true;
    }
}

void faults_error(struct faults *f, struct place at, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(f, at, false, key, format, args);
    va_end(args);
}

void faults_warn(struct faults *f, struct place at, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(f, at, true, key, format, args);
    va_end(args);
}

/* By place; those of one place in the order in which they were found. */
static int by_place(const void *a, const void *b)
{
    const struct fault *x = *(const struct fault *const *)a;
    const struct fault *y = *(const struct fault *const *)b;
    if (x->at.line != y->at.line) {
        return x->at.line < y->at.line ? -1 : 1;
    }
    if (x->at.column != y->at.column) {
        return x->at.column < y->at.column ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

static void print_one(const struct fault *fault, const char *file, FILE *out)
{
    if (fault->at.line == 0) {
        fprintf(out, "%s: %s\n", file, fault->text);
    } else {
        fprintf(out, "%s:%u:%u: %s\n", file, fault->at.line, fault->at.column, fault->text);
    }
}

void faults_print(struct faults *f, const char *file, FILE *out)
{
    const char *prefix = file[0] ? file : "sluice";
    const struct fault **sorted = f->count ? malloc(f->count * sizeof(*sorted)) : NULL;
    for (size_t i = 0; sorted && i < f->count; i++) {
        sorted[i] = &f->items[i];
    }
    if (sorted) {
        qsort(sorted, f->count, sizeof(*sorted), by_place);
    }
    for (size_t i = 0; i < f->count; i++) {
        print_one(sorted ? sorted[i] : &f->items[i], prefix, out);
    }
    free(sorted);
    if (f->lost) {
        fprintf(out, "%s: there are more faults than memory to tell them\n", prefix);
    }
}

void faults_line(const struct fault *fault, const char *file, char *out, size_t cap)
{
    if (fault->at.line == 0) {
        (void)snprintf(out, cap, "%s: %s", file, fault->text);
    } else {
        (void)snprintf(out, cap, "%s:%u:%u: %s", file, fault->at.line, fault->at.column, fault->text);
    }
}
