#include "load_rows.h"
#include "rules/load.h"

#include <stdlib.h>
#include <string.h>

static bool row_is_fine(const struct load_row *row)
{
    char *told = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&told, &len);
    assert_non_null(out);
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_text(row->text, strlen(row->text), "f", &faults);
    faults_print(&faults, "f", out);
    assert_int_equal(fclose(out), 0);
    bool fine = strcmp(told, row->told) == 0 && (rules == NULL) == (faults.error_count > 0);
    if (!fine)
        print_error("--- text\n%s\n--- told\n%s--- instead of\n%s", row->text, told, row->told);
    rules_free(rules);
    faults_fini(&faults);
    free(told);
    return fine;
}

void load_rows_check(const struct load_row *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += !row_is_fine(&rows[i]);
    assert_int_equal(wrong, 0);
}
