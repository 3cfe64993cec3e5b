/* Any bytes as the path of a request to a `files` route over a real folder. What is served is a regular file
 * that realpath(3) finds below the folder under that very name, none of whose parts begins with a dot; what
 * lies beside the folder never is, by whatever escapes, dots and links. */
#include "script.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 512, CONTENT_MAX = 64 };

static char top[] = "/tmp/sluice-path-XXXXXX";
static struct bench bench;
static int top_fd = -1;

static const char *const folders[] = {"www", "www/sub", "www/sub/deep", "www/void"};
static const char *const files[] = {"secret", "www/a", "www/index.html", "www/sub/b", "www/sub/index.html",
    "www/.hidden", "www/sub/deep/..c", "www/%2F", "www/x y"};
static const char *const links[][2] = {{"../secret", "www/out"}, {"..", "www/up"}, {"a", "www/in"},
    {"../../secret", "www/sub/far"}, {"/etc/passwd", "www/passwd"}, {"deep/../..", "www/sub/back"}};

#define EACH(i, array)                                                                                       \
    size_t i = 0;                                                                                            \
    i < sizeof(array) / sizeof(array)[0];                                                                    \
    i++

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static void remove_all(void)
{
    for (EACH(i, links)) {
        (void)unlinkat(top_fd, links[i][1], 0);
    }
    for (EACH(i, files)) {
        (void)unlinkat(top_fd, files[i], 0);
    }
    for (size_t i = sizeof folders / sizeof folders[0]; i-- > 0;) {
        (void)unlinkat(top_fd, folders[i], AT_REMOVEDIR);
    }
    (void)rmdir(top);
}

static void make_all(void)
{
    require(mkdtemp(top) != NULL && atexit(remove_all) == 0);
    top_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    require(top_fd >= 0);
    for (EACH(i, folders)) {
        require(mkdirat(top_fd, folders[i], 0700) == 0);
    }
    for (EACH(i, files)) {
        int fd = openat(top_fd, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        size_t n = strlen(files[i]);
        require(fd >= 0 && write(fd, files[i], n) == (ssize_t)n && close(fd) == 0);
    }
    for (EACH(i, links)) {
        require(symlinkat(links[i][0], top_fd, links[i][1]) == 0);
    }
    char yaml[512];
    (void)snprintf(yaml, sizeof yaml,
        "listen: {address: 127.0.0.1:0}\nroutes:\n  - {path: /w/x/*, files: %s/www}\n"
        "  - {path: /one, files: %s/www}\n  - {path: /*, files: %s/www}\n",
        top, top, top);
    bench_init_yaml(&bench, yaml);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The name that the path stands for, as plainly as can be said. */
static void name_of(const char *path, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n && path[i] != '?'; i++) {
        char c = path[i];
        int high = c == '%' && i + 2 < n ? hex(path[i + 1]) : -1;
        int low = high >= 0 ? hex(path[i + 2]) : -1;
        if (low >= 0 && (high << 4 | low) != '/') {
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
}

static void check_served(const char *asked, size_t n, const char *body, size_t body_len)
{
    char name[INPUT_MAX + 1], wanted[PATH_MAX], real[PATH_MAX], content[CONTENT_MAX];
    name_of(asked, n, name);
    const char *below = strncmp(name, "/w/x/", 5) == 0 ? name + 5 : name + 1;
    bool folder = *below == '\0' || below[strlen(below) - 1] == '/';
    (void)snprintf(wanted, sizeof wanted, "%s/www/%s%s", top, below, folder ? "index.html" : "");
    require(strstr(wanted + sizeof top, "/.") == NULL && strstr(wanted, "//") == NULL);
    require(realpath(wanted, real) != NULL);
    require(strncmp(real, top, strlen(top)) == 0 && strncmp(real + strlen(top), "/www/", 5) == 0);
    int fd = open(real, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, content, sizeof content);
    require(close(fd) == 0 && len >= 0);
    require((size_t)len == body_len && memcmp(content, body, body_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX - 1) {
        return 0;
    }
    if (top_fd < 0) {
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* its assertions, where no test runs */
        make_all();
    }
    char path[INPUT_MAX + 1] = "/";
    size_t n = 1;
    for (size_t i = 0; i < size; i++) { /* what is no byte of a path never gets so far */
        path[n++] = data[i] > ' ' && data[i] < 0x7F && data[i] != '#' ? (char)data[i] : '.';
    }
    struct script_pair pair;
    pair_init(&bench, &pair, &script_easy, &script_easy);
    say_text(&pair.client, "GET ");
    say(&pair.client, path, n);
    say_text(&pair.client, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    pair.client.end = SCRIPT_EOF;
    bench_accept(&bench, &pair);
    bench_run(&bench);
    require(bench.relay.connections == 0);
    const char *heard = (const char *)buf_data(&pair.client.heard);
    size_t len = buf_len(&pair.client.heard);
    require(len > 12 && memmem(heard, len, "\r\n\r\nsecret", 10) == NULL);
    if (memcmp(heard, "HTTP/1.1 200", 12) == 0) {
        const char *body = (const char *)memmem(heard, len, "\r\n\r\n", 4) + 4;
        check_served(path, n, body, len - (size_t)(body - heard));
    }
    pair_fini(&pair);
    require(ftruncate(bench.log.fd, 0) == 0 && lseek(bench.log.fd, 0, SEEK_SET) == 0);
    return 0;
}
