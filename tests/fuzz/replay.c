/* Runs every file given, or found below a folder given, through a fuzz target: a corpus as an ordinary test,
 * with any compiler. Prints `replayed N inputs`; exits 1 where one cannot be read or there is none. */
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The whole of `file`, in memory of exactly its size so that a sanitizer sees a step too far. */
static uint8_t *read_whole(const char *file, size_t *size)
{
    FILE *in = fopen(file, "rb");
    if (!in)
        return NULL;
    uint8_t *data = NULL;
    if (fseek(in, 0, SEEK_END) == 0) {
        long end = ftell(in);
        rewind(in);
        data = end >= 0 ? malloc(end > 0 ? (size_t)end : 1) : NULL;
        *size = end > 0 ? (size_t)end : 0;
    }
    if (data && fread(data, 1, *size, in) != *size) {
        free(data);
        data = NULL;
    }
    fclose(in);
    return data;
}

/* Answers whether it could be read. */
static int replay(const char *file)
{
    size_t size = 0;
    uint8_t *data = read_whole(file, &size);
    if (!data) {
        perror(file);
        return 0;
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    const char *x = (*a)->fts_name, *y = (*b)->fts_name;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    return (unsigned char)*x - (unsigned char)*y;
}

int main(int argc, char **argv)
{
    unsigned replayed = 0, unread = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    FTS *walk = fts_open(argv + 1, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!walk) {
        perror("fts_open");
        return 1;
    }
    for (FTSENT *entry; (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_F) {
            int fine = replay(entry->fts_path);
            replayed += fine ? 1 : 0;
            unread += fine ? 0 : 1;
        } else if (entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR) {
            fprintf(stderr, "%s: cannot be read\n", entry->fts_path);
            unread++;
        }
    }
    fts_close(walk);
    printf("replayed %u inputs\n", replayed);
    return unread > 0 || replayed == 0 ? 1 : 0;
}
