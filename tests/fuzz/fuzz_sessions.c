/* Any bytes as a worker's list of sessions: what is passed on is made of good lines alone, and a table has
 * the same columns in every line. */
#include "serve/sessions_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static size_t count(struct slice s, char c)
{
    size_t found = 0;
    for (size_t i = 0; i < s.len; i++)
        found += s.p[i] == c;
    return found;
}

static struct slice next_line(struct slice *rest)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = {rest->p, end};
    end += end < rest->len;
    *rest = (struct slice){rest->p + end, rest->len - end};
    return line;
}

static void look_at_list(struct slice text, bool first, size_t good)
{
    require(first == (good == 0));
    for (size_t i = 0; i < good; i++) {
        struct slice line = next_line(&text);
        if (i + 1 < good) {
            require(line.len > 0 && line.p[line.len - 1] == ',');
            line.len--;
        }
        require(sessions_json_good(line));
    }
    require(text.len == 0);
}

static void look_at_table(struct slice text, size_t good)
{
    size_t tabs = count(next_line(&text), '\t');
    for (size_t i = 0; i < good; i++) {
        struct slice line = next_line(&text);
        require(count(line, '\t') == tabs);
        for (size_t at = 0; at < line.len; at++)
            require(line.p[at] == '\t' || (line.p[at] >= ' ' && line.p[at] <= '~'));
    }
    require(text.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice lines = {(const char *)data, size}, rest = lines;
    char *list = NULL, *table = NULL;
    size_t list_len = 0, table_len = 0, good = 0;
    bool first = true;
    FILE *to_list = open_memstream(&list, &list_len), *to_table = open_memstream(&table, &table_len);
    if (to_list == NULL || to_table == NULL)
        abort();
    while (rest.len > 0)
        good += sessions_json_good(next_line(&rest));
    sessions_json_list(lines, &first, to_list);
    sessions_json_table_head(to_table);
    sessions_json_table(lines, to_table);
    require(fclose(to_list) == 0 && fclose(to_table) == 0);
    look_at_list((struct slice){list, list_len}, first, good);
    look_at_table((struct slice){table, table_len}, good);
    free(list);
    free(table);
    return 0;
}
