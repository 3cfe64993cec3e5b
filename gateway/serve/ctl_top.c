/* `sluice ctl top`: asks for the sessions every second and shows who moves how much. */
#include "serve/ctl_top.h"
#include "base/clock.h"
#include "serve/ctl_internal.h"
#include "serve/worker.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { INTERVAL_MS = 1000, WIDTH = 80, HEIGHT = 24 };

/* One table as it came, and the rows in it. */
struct snapshot {
    struct ctl_answer answer;
    struct top_rows rows;
    struct slice silent; /* workers whose sessions are missing */
    uint64_t at_ms;
};

struct screen {
    struct termios before;
    bool keys;  /* standard input is a terminal */
    bool is_on; /* the terminal is ours */
    enum top_order order;
    bool reversed;
};

static volatile sig_atomic_t told_to_end;

static void end_signal(int signal_number)
{
    (void)signal_number;
    told_to_end = 1;
}

/* Wakes poll(2). */
static void resize_signal(int signal_number)
{
    (void)signal_number;
}

static void catch_signals(void)
{
    struct sigaction end = {.sa_handler = end_signal}, resize = {.sa_handler = resize_signal};
    (void)sigaction(SIGINT, &end, NULL);
    (void)sigaction(SIGTERM, &end, NULL);
    (void)sigaction(SIGHUP, &end, NULL);
    (void)sigaction(SIGWINCH, &resize, NULL);
}

static void snapshot_fini(struct snapshot *s)
{
    top_fini(&s->rows);
    ctl_answer_fini(&s->answer);
}

static bool take(const struct endpoint *admin, const char *path, struct snapshot *s, char why[CTL_WHY_MAX])
{
    *s = (struct snapshot){0};
    if (!ctl_ask(admin, "GET", path, "text/plain", &s->answer, why)) {
        return false;
    }
    s->at_ms = clock_now_ms();
    struct slice body = s->answer.body;
    if (s->answer.status != 200) {
        struct slice line = SLICE("refused");
        (void)ctl_next_line(&body, &line); /* empty: that word */
        (void)snprintf(why, CTL_WHY_MAX, "%.*s", SLICE_ARG(line));
        snapshot_fini(s);
        return false;
    }
    s->silent = ctl_cut_silent(&s->answer.body); /* which is no session */
    if (!top_read(s->answer.body, &s->rows)) {
        (void)snprintf(why, CTL_WHY_MAX, "out of memory");
        snapshot_fini(s);
        return false;
    }
    return true;
}

/* Signals still end it; ^Z would leave the terminal as we have it. */
static void screen_on(struct screen *screen)
{
    screen->keys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &screen->before) == 0;
    if (screen->keys) {
        struct termios now = screen->before;
        now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        now.c_cc[VSUSP] = _POSIX_VDISABLE;
        now.c_cc[VMIN] = 1;
        now.c_cc[VTIME] = 0;
        screen->keys = tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
    }
    (void)fputs("\x1b[?1049h\x1b[?25l", stdout);
    screen->is_on = true;
}

static void screen_off(struct screen *screen)
{
    if (!screen->is_on) {
        return;
    }
    (void)fputs("\x1b[?25h\x1b[?1049l", stdout);
    (void)fflush(stdout);
    if (screen->keys) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
    }
    screen->is_on = false;
}

/* Each line wipes what was behind it, and the last all below: nothing flickers. */
static void draw(const struct screen *screen, struct snapshot *shown, const char *why)
{
    struct top_rows *rows = &shown->rows;
    struct winsize size = {0};
    int width = WIDTH, height = HEIGHT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 3) {
        width = size.ws_col;
        height = size.ws_row;
    }
    (void)fputs("\x1b[H", stdout);
    top_sort(rows, screen->order, screen->reversed);
    top_draw(rows, screen->order, width, height - 1, "\x1b[K\n", stdout);
    if (why[0] != '\0') {
        (void)fprintf(stdout, "no answer: %.60s\x1b[J", why);
    } else if (shown->silent.len > 0) {
        int len = shown->silent.len < 40 ? (int)shown->silent.len : 40;
        (void)fprintf(stdout, "incomplete: silent workers: %.*s\x1b[J", len, shown->silent.p);
    } else {
        (void)fputs("q quit  s sort  r reverse\x1b[J", stdout);
    }
    (void)fflush(stdout);
}

/* Waits until `until_ms` or for a key. False: it is over. */
static bool wait_for_keys(struct screen *screen, uint64_t until_ms)
{
    uint64_t now_ms = clock_now_ms();
    struct pollfd input = {.fd = screen->keys ? STDIN_FILENO : -1, .events = POLLIN};
    char key = 0;
    if (poll(&input, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0) > 0) {
        if (read(STDIN_FILENO, &key, 1) != 1 && errno != EINTR) {
            return false;
        }
    }
    if (key == 's') {
        screen->order = (enum top_order)((screen->order + 1) % TOP_ORDERS);
    } else if (key == 'r') {
        screen->reversed = !screen->reversed;
    }
    return key != 'q' && key != 'Q' && told_to_end == 0;
}

/* Rates are of rows sorted by id, so `before` is read again rather than kept as it was drawn. */
static void measure(struct snapshot *now, const struct snapshot *before)
{
    struct top_rows by_id;
    if (top_read(before->answer.body, &by_id)) {
        top_rates(&now->rows, &by_id, (double)(now->at_ms - before->at_ms) / 1000);
        top_fini(&by_id);
    }
}

static void watch(const struct endpoint *admin, const char *path, struct snapshot *shown)
{
    struct screen screen = {0};
    char why[CTL_WHY_MAX] = "";
    screen_on(&screen);
    uint64_t next_ms = shown->at_ms + INTERVAL_MS;
    draw(&screen, shown, why);
    while (wait_for_keys(&screen, next_ms)) {
        struct snapshot now;
        if (clock_now_ms() >= next_ms) {
            next_ms = clock_now_ms() + INTERVAL_MS;
            if (take(admin, path, &now, why)) {
                measure(&now, shown);
                snapshot_fini(shown);
                *shown = now;
                why[0] = '\0';
            }
        }
        draw(&screen, shown, why);
    }
    screen_off(&screen);
}

/* What to end with. */
static int print_once(const struct endpoint *admin, const char *path, struct snapshot *shown)
{
    struct snapshot now;
    char why[CTL_WHY_MAX];
    (void)poll(NULL, 0, INTERVAL_MS);
    if (told_to_end == 0 && take(admin, path, &now, why)) {
        measure(&now, shown);
        snapshot_fini(shown);
        *shown = now;
    }
    top_sort(&shown->rows, TOP_THROUGHPUT, false);
    top_draw(&shown->rows, TOP_THROUGHPUT, 160, 0, "\n", stdout);
    return ctl_tell_silent(shown->silent);
}

int ctl_top(const struct endpoint *admin, const char *query)
{
    char path[CTL_QUERY_MAX + 16], why[CTL_WHY_MAX];
    struct snapshot first;
    (void)snprintf(path, sizeof path, "/sessions%s", query);
    catch_signals();
    if (!take(admin, path, &first, why)) {
        (void)fprintf(stderr, "sluice: %s\n", why);
        return EXIT_CANNOT_RUN;
    }
    int status = EXIT_FINE;
    if (isatty(STDOUT_FILENO) == 1) {
        watch(admin, path, &first);
    } else {
        status = print_once(admin, path, &first);
    }
    snapshot_fini(&first);
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? status : EXIT_CANNOT_RUN;
}
