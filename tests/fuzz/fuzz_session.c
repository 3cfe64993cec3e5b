/* A whole session over scripted transports. The input is a program: three bytes choose the rules and the
 * peers' habits, then each byte is an event, some with arguments behind them: a peer speaks, stalls, ends, or
 * fails, the clock goes on, the dialing comes to something. Then everything is let go and has to end.
 *
 * What must hold: bytes go out as they came in, in order and none twice; the gateway's frames are whole and
 * nothing follows its Close; each session has one end, with a cause that something here explains; while it
 * lives it waits for something, and keeps no more than its limit; at the end all is freed. */
#include "relay/roster.h"
#include "session_run.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SETTINGS = 3,
    INPUT_MAX = 600,
    FILE_BYTES = 9000,
    REQUESTS_MAX = 8,
};

static unsigned take(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->p++;
}

/* ---- Rules. */

static const char *const routes[][2] = {
    {"plain", ""},
    {"reset", "    on_client_abort: reset\n"},
    {"http", "    on_unreachable: http\n"},
    {"limits", "    timeouts: {idle: 30s, session: 1m, close: 3s, ping: 20s, pong: 20s}\n"},
    {"text", "    messages: text\n"},
    {"any", "    messages: any\n    limits: {message: 2KiB}\n"},
    {"rate", "    limits: {rate: {up: 1KiB, down: 2KiB}}\n"},
    {"many", "    balance: round_robin\n    connect_retry: true\n"},
    {"codes", "    close_codes: {target_eof: 4000, idle: 4001}\n    timeouts: {ping: off, idle: 40s}\n"},
    {"files", ""},
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

/* A folder of one file, for as long as the process lives. */
static char folder[] = "/tmp/sluice-fuzz-XXXXXX";
static char file[sizeof folder + 2];

static void remove_folder(void)
{
    (void)unlink(file);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    static char content[FILE_BYTES];
    run_require(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    (void)snprintf(file, sizeof file, "%s/a", folder);
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    run_require(fd >= 0 && write(fd, content, sizeof content) == (ssize_t)sizeof content && close(fd) == 0);
}

static void make_rules(struct run *run, const char *lines)
{
    char yaml[1024], way[128];
    if (run_is_route(run, "files")) {
        (void)snprintf(way, sizeof way, "files: %s", folder);
    } else if (run_is_route(run, "many")) {
        (void)snprintf(way, sizeof way, "target: [tcp://127.0.0.1:9, tcp://127.0.0.1:10]");
    } else {
        (void)snprintf(way, sizeof way, "target: tcp://127.0.0.1:9");
    }
    int n = snprintf(yaml, sizeof yaml,
        "listen: {address: 127.0.0.1:0}\nroutes:\n  - path: /*\n    %s\n%slimits: {buffer: 4KiB}\n", way,
        lines);
    run_require(n > 0 && (size_t)n < sizeof yaml);
    bench_init_yaml(&run->b, yaml);
}

/* ---- What peers say. */

/* The stream that both peers send: each place has its own byte, and all of it is UTF-8. */
static void fill(uint8_t *bytes, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(' ' + (at + i + (at + i) / 89) % 90);
    }
}

/* Does `speak`, and notes what it said. */
static void note(struct buf *all, const struct script_side *side, size_t before)
{
    size_t n = buf_len(&side->said) - before;
    if (n > 0) {
        run_require(buf_append(all, buf_data(&side->said) + before, n));
    }
}

static size_t some_length(struct input *in)
{
    unsigned n = take(in);
    return n < 200 ? n : (size_t)(n - 199) * 150;
}

static void client_frame(struct run *run)
{
    static uint8_t payload[9000];
    unsigned kind = take(&run->in);
    size_t n = some_length(&run->in);
    bool fin = (kind & 1) != 0;
    enum ws_opcode opcode = (kind & 2) != 0 ? WS_TEXT : WS_BINARY;
    if (run->message_open != ((kind & 0xF0) == 0xF0)) { /* seldom the wrong one */
        opcode = WS_CONTINUATION;
    }
    fill(payload, n, buf_len(&run->client_said));
    if ((kind & 4) != 0 && n > 2) { /* a character of three bytes, whole or cut */
        memcpy(payload + n - 3, "\xE2\x82\xAC", 3);
        n -= (kind & 8) != 0 ? 1 : 0;
    }
    say_frame(&run->p.client, fin, opcode, payload, n);
    run->message_open = !fin;
}

static void client_raw(struct run *run)
{
    size_t n = take(&run->in) % 32;
    n = n < run->in.left ? n : run->in.left;
    say(&run->p.client, run->in.p, n);
    run->in.p += n;
    run->in.left -= n;
}

static void client_control(struct run *run)
{
    uint8_t payload[WS_CONTROL_MAX];
    unsigned kind = take(&run->in);
    size_t n = kind & 0x7F;
    n = n <= WS_CONTROL_MAX ? n : 0;
    memset(payload, (int)take(&run->in), sizeof payload);
    say_frame(&run->p.client, true, (kind & 0x80) != 0 ? WS_PONG : WS_PING, payload, n);
}

static void client_close(struct run *run)
{
    static const uint16_t codes[] = {1000, 1001, 1005, 3000, 4999, 5000, 999, 1015};
    unsigned kind = take(&run->in);
    if (kind < 16) {
        say_frame(&run->p.client, true, WS_CLOSE, "\x03", kind % 2);
    } else {
        say_close(&run->p.client, codes[kind % 8], kind < 128 ? "" : kind < 250 ? "bye" : "\xFF");
    }
}

static void client_asks(struct run *run)
{
    static const char *const paths[] = {"/a", "/none", "/", "/.a", "/a?b"};
    static const char *const fields[] = {"", "Range: bytes=5-9\r\n", "Connection: close\r\n",
        "If-None-Match: *\r\n", "Range: bytes=90000-\r\n"};
    unsigned kind = take(&run->in);
    char text[256];
    if (run->asked++ >= REQUESTS_MAX) {
        return; /* byte by byte these take long */
    }
    (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", kind < 200 ? "GET" : "HEAD",
        paths[kind % 5], fields[kind / 5 % 5]);
    say_text(&run->p.client, text);
}

static void client_says(struct run *run, unsigned what)
{
    if (run->p.client.end != SCRIPT_STAYS) {
        return;
    }
    size_t before = buf_len(&run->p.client.said);
    switch (what) {
    case 0:
        client_raw(run);
        break;
    case 1:
        client_control(run);
        break;
    case 2:
        client_close(run);
        break;
    default:
        if (run_is_route(run, "files")) {
            client_asks(run);
        } else {
            client_frame(run);
        }
    }
    note(&run->client_said, &run->p.client, before);
}

static void target_says(struct run *run)
{
    static uint8_t bytes[9000];
    if (run->p.target.end != SCRIPT_STAYS) {
        return;
    }
    size_t before = buf_len(&run->p.target.said);
    unsigned kind = take(&run->in);
    size_t n = kind < 250 ? kind : 1024 * ((size_t)kind - 248);
    fill(bytes, n, buf_len(&run->target_said));
    if (kind % 8 == 7 && n >= 3) {
        memcpy(bytes + n - 3, kind == 15 ? "\xFF\xFE\xFD" : "\xE2\x82\xAC", 3);
        n -= kind % 16 == 7 ? 1 : 0;
    }
    say(&run->p.target, bytes, n);
    note(&run->target_said, &run->p.target, before);
}

/* ---- What befalls them. */

static size_t some_room(struct input *in)
{
    unsigned n = take(in);
    return n == 255 ? SCRIPT_ALL : n < 128 ? n : (size_t)n * 16;
}

static void end_side(struct run *run, bool client)
{
    struct script_side *side = client ? &run->p.client : &run->p.target;
    bool *side_failed = client ? &run->client_failed : &run->target_failed;
    unsigned how = take(&run->in) % 8;
    if (how < 4) {
        run->client_left = run->client_left || client;
        run->target_left = run->target_left || !client;
        side->end = side->end == SCRIPT_STAYS ? SCRIPT_EOF : side->end;
        return;
    }
    run->smooth = false;
    *side_failed = true;
    if (how == 4) {
        side->deaf = true;
    } else if (how == 5) {
        side->broken = true;
    } else {
        side->end = SCRIPT_RESET;
    }
}

static void fail_later(struct run *run)
{
    unsigned kind = take(&run->in);
    run->b.fail_by_eof = (kind & 0x80) != 0;
    run->b.fail_at = run->b.calls + 1 + (kind & 0x7F);
    run->smooth = false;
}

static void pass(struct run *run)
{
    static const uint64_t lapses[] = {1, 8, 100, 1000, 2500, 5000, 10000, 20000, 25000, 60000};
    run->later = true;
    run->smooth = false;
    bench_pass(&run->b, lapses[take(&run->in) % 10]);
}

static void dialing(struct run *run)
{
    static const enum dial_status ends[] = {
        DIAL_OK, DIAL_OK, DIAL_REFUSED, DIAL_UNREACHABLE, DIAL_TIMEOUT, DIAL_DNS, DIAL_TLS, DIAL_OVERLOAD};
    unsigned kind = take(&run->in);
    run->b.dial_holds = (kind & 8) != 0;
    run->b.dial_status = ends[kind & 7];
    run->b.dial_down = kind >> 6;
    run->b.dial_null = (kind & 0x30) == 0x30;
    run->cannot_dial = run->cannot_dial || kind > 1;
}

static struct bench others; /* its rules take none of these sessions */

static void stop(struct run *run, unsigned how)
{
    if (how == 15) {
        relay_drain(&run->b.relay);
    } else if (how == 14) {
        relay_refuse(&run->b.relay);
    } else if (how == 13) {
        relay_leave(&run->b.relay);
    }
    run->drained = run->drained || how >= 13;
    struct roster_filter everyone = {0};
    if (how == 12) {
        run->killed = run->killed || relay_kill(&run->b.relay, &everyone) > 0;
    } else if (how == 11) {
        run_require(relay_revoke(&run->b.relay, run->b.rules) == 0); /* they took it, and still would */
    } else if (how == 10) {
        run->revoked = run->revoked || relay_revoke(&run->b.relay, others.rules) > 0;
    }
}

/* False: the gateway had no turn. */
static bool act(struct run *run)
{
    unsigned event = take(&run->in);
    switch (event % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        client_says(run, event % 16);
        return false;
    case 5:
    case 6:
        target_says(run);
        return false;
    case 7:
        run->p.client.room = some_room(&run->in);
        run->smooth = false;
        return false;
    case 8:
        run->p.target.room = some_room(&run->in);
        run->smooth = false;
        return false;
    case 9:
        end_side(run, event < 128);
        return false;
    case 10:
        fail_later(run);
        return false;
    case 11:
        pass(run);
        break;
    case 12:
        dialing(run);
        return false;
    case 13:
        stop(run, event / 16);
        break;
    case 14:
        (void)bench_turn(&run->b);
        break;
    default:
        bench_run(&run->b);
    }
    return true;
}

/* ---- */

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    static const char *const handshakes[] = {"", "rw", "wr", "r"};
    run->in = (struct input){data, size};
    const char *const *route = routes[take(&run->in) % ROUTES];
    unsigned habits = take(&run->in);
    unsigned flags = take(&run->in);
    run->route = route[0];
    run->smooth = true;
    make_rules(run, route[1]);
    run->b.target_first = (flags & 1) != 0;
    run->b.dial_holds = (flags & 2) != 0;
    pair_init(&run->b, &run->p, &script_habits[habits % 16 % script_habit_count],
        &script_habits[habits / 16 % script_habit_count]);
    run->p.client.polite = (flags & 4) != 0;
    run->p.target.polite = (flags & 8) != 0;
    if ((flags & 16) != 0) {
        run->b.door.tls = (struct tls_server *)(void *)&run->b; /* asked for being there alone */
        run->p.client.handshake = handshakes[flags >> 5 & 3];
    }
    if (run_is_route(run, "files")) {
        client_asks(run);
    } else {
        say_upgrade(&run->p.client, "/", "");
    }
    note(&run->client_said, &run->p.client, 0);
    bench_accept(&run->b, &run->p);
}

/* Nobody stalls any more, and both go; what is left has its deadlines. */
static void finish(struct run *run)
{
    struct script_pair *p = &run->p;
    run->b.dial_holds = false;
    p->client.room = p->target.room = SCRIPT_ALL;
    bench_run(&run->b);
    if (run->b.relay.connections == 0) {
        return;
    }
    run->smooth = run->smooth && !run_is_route(run, "rate");
    p->client.end = p->client.end == SCRIPT_STAYS ? SCRIPT_EOF : p->client.end;
    p->target.end = p->target.end == SCRIPT_STAYS ? SCRIPT_EOF : p->target.end;
    bench_run(&run->b);
    for (int i = 0; i < 200 && run->b.relay.connections > 0; i++) {
        run->later = true;
        bench_pass(&run->b, 1000);
    }
    run_require(run->b.relay.connections == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETTINGS || size > INPUT_MAX) {
        return 0;
    }
    if (file[0] == '\0') {
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* its assertions, where no test runs */
        make_folder();
        bench_init_yaml(&others,
            "listen: {address: 127.0.0.1:0}\nroutes:\n  - {path: /other, target: tcp://127.0.0.1:9}\n");
    }
    struct run run = {0};
    begin(&run, data, size);
    while (run.in.left > 0) {
        if (!act(&run)) {
            continue; /* nothing was said or heard */
        }
        run.client_failed = run.client_failed || run.b.failed == &run.p.client;
        run.target_failed = run.target_failed || run.b.failed == &run.p.target;
        run_check(&run);
    }
    finish(&run);
    run.client_failed = run.client_failed || run.b.failed == &run.p.client;
    run.target_failed = run.target_failed || run.b.failed == &run.p.target;
    run_check_end(&run);
    pair_fini(&run.p);
    bench_fini(&run.b);
    buf_fini(&run.client_said);
    buf_fini(&run.target_said);
    return 0;
}
