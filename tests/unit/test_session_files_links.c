/* `files` routes where the system has no openat2(2), or what confines us does not let it through: then a path
 * is opened name by name, and no link is followed, wherever it leads. */
#include "script.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char folder[] = "/tmp/sluice-links-XXXXXX";
static int top = -1;
static int refused_by; /* errno of openat2(2) */
static unsigned refused;

static const char *const folders[] = {"sub", "sub/deep"};
static const char *const files[] = {"a", "sub/b", "sub/deep/c", "sub/index.html", ".hidden"};
static const char *const links[][2] = {{"a", "in"}, {"/etc/passwd", "out"}, {"..", "up"}, {"sub", "dir"}};

#define EACH(i, array)                                                                                       \
    size_t i = 0;                                                                                            \
    i < sizeof(array) / sizeof(array)[0];                                                                    \
    i++

/* In place of the C library's: what the gateway calls by number is openat2 alone, and clone3(2) and the like
 * go by other ways. */
long syscall(long number, ...)
{
    assert_int_equal(SYS_openat2, number);
    refused++;
    errno = refused_by;
    return -1;
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    top = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (EACH(i, folders)) {
        assert_int_equal(0, mkdirat(top, folders[i], 0700));
    }
    for (EACH(i, files)) {
        int fd = openat(top, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        size_t n = strlen(files[i]);
        assert_true(fd >= 0 && write(fd, files[i], n) == (ssize_t)n);
        close(fd);
    }
    for (EACH(i, links)) {
        assert_int_equal(0, symlinkat(links[i][0], top, links[i][1]));
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (EACH(i, links)) {
        (void)unlinkat(top, links[i][1], 0);
    }
    for (EACH(i, files)) {
        (void)unlinkat(top, files[i], 0);
    }
    for (size_t i = sizeof folders / sizeof folders[0]; i-- > 0;) {
        (void)unlinkat(top, folders[i], AT_REMOVEDIR);
    }
    close(top);
    return rmdir(folder);
}

/* The status of the answer; *body is as heard. */
static unsigned ask(struct bench *b, const char *path, char *body, size_t cap)
{
    struct script_pair p;
    struct hearing h;
    pair_init(b, &p, &script_easy, &script_easy);
    say_text(&p.client, "GET ");
    say_text(&p.client, path);
    say_text(&p.client, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    p.client.end = SCRIPT_EOF;
    bench_accept(b, &p);
    bench_run(b);
    hearing_of(&p.client, &h);
    size_t len = buf_len(&p.client.heard);
    (void)snprintf(
        body, cap, "%.*s", (int)(len - h.body_at), (const char *)buf_data(&p.client.heard) + h.body_at);
    unsigned status = h.status;
    hearing_fini(&h);
    pair_fini(&p);
    return status;
}

static void test_name_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned status;
        const char *body; /* of a 200 */
    } cases[] = {
        {"/a", 200, "a"},
        {"/sub/b", 200, "sub/b"},
        {"/sub/deep/c", 200, "sub/deep/c"},
        {"/sub/", 200, "sub/index.html"},
        {"/sub", 301, NULL},
        {"/none", 404, NULL},
        {"/none/b", 404, NULL},
        {"/a/b", 404, NULL},
        {"/sub/deep/", 404, NULL},
        {"/in", 404, NULL},
        {"/out", 404, NULL},
        {"/up/a", 404, NULL},
        {"/dir/b", 404, NULL},
        {"/dir/", 404, NULL},
        {"/../a", 404, NULL},
        {"/sub/%2e%2e/a", 404, NULL},
        {"/.hidden", 404, NULL},
        {"//a", 404, NULL},
        {"//sub", 404, NULL},
        {"/sub//b", 404, NULL},
    };
    static const int errnos[] = {ENOSYS, EPERM};
    struct bench b;
    char route[128], body[128];
    (void)snprintf(route, sizeof route, "    files: %s\n", folder);
    bench_init(&b, route, "");
    for (EACH(i, errnos)) {
        refused_by = errnos[i];
        refused = 0;
        for (EACH(j, cases)) {
            unsigned status = ask(&b, cases[j].path, body, sizeof body);
            if (status != cases[j].status) {
                fail_msg("%s: %u in place of %u", cases[j].path, status, cases[j].status);
            }
            if (cases[j].body != NULL) {
                assert_string_equal(cases[j].body, body);
            }
        }
        assert_true(refused > 8); /* some are refused by their names alone */
    }
    bench_fini(&b);
}

static void test_no_descriptors(void **state)
{
    (void)state;
    struct bench b;
    char route[128], body[128];
    (void)snprintf(route, sizeof route, "    files: %s\n", folder);
    bench_init(&b, route, "");
    refused_by = EMFILE;
    assert_int_equal(503, ask(&b, "/a", body, sizeof body));
    refused_by = ELOOP; /* any other: it is not there */
    assert_int_equal(404, ask(&b, "/a", body, sizeof body));
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_by_name), cmocka_unit_test(test_no_descriptors)};
    return cmocka_run_group_tests_name("session_files_links", tests, make_folder, remove_folder);
}
