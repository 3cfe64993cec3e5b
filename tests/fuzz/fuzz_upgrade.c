/* Any bytes as a request to fixed rules, three ways that must agree: the verdict put together here from its
 * pure parts, what a whole session answers, and what `sluice explain` says of the same URL. A refused request
 * has no route; one that is taken has the first route that takes it, and a subprotocol that was offered. */
#include "proto/http_head.h"
#include "proto/http_path.h"
#include "script.h"
#include "serve/explain_request.h"
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, JOINED_MAX = 1024, LIMIT = 2048 };

static const char rules_text[] =
    "listen: {address: 127.0.0.1:0}\nlimits: {request: 2KiB}\nroutes:\n"
    "  - {name: host, host: [a.example, '*.b.example'], path: /vnc, target: tcp://127.0.0.1:1}\n"
    "  - {name: from, path: [/from/*, /f], from: [10.0.0.0/8, '2001:db8::/32'], target: tcp://127.0.0.1:2}\n"
    "  - {name: origin, path: /o/*, origin: ['https://a.example', 'http://*.b.example:8080', none],\n"
    "     target: tcp://127.0.0.1:3}\n"
    "  - {name: same, path: /same, origin: same, target: tcp://127.0.0.1:4}\n"
    "  - {name: protocol, path: /p/*, origin: any, subprotocol: [mqtt, binary], target: tcp://127.0.0.1:5}\n"
    "  - {name: any, path: /any, subprotocol: any, target: tcp://127.0.0.1:6}\n"
    "  - {name: files, path: /www/*, files: /nonexistent}\n"
    "  - {name: rest, host: c.example, subprotocol: [any, none], target: tcp://127.0.0.1:7}\n";

struct asked {
    struct http_request request;
    struct http_head head;
    struct judge_request judged;
    char path[LIMIT];
    char subprotocols[JOINED_MAX];
};

static struct bench bench;

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

/* ---- The judge by itself. */

static bool is_offered(struct slice offered, struct slice one)
{
    struct slice element;
    while (slice_next(&offered, ',', &element)) {
        if (slice_eq(element, one)) {
            return true;
        }
    }
    return false;
}

static bool takes_none(const struct route *route)
{
    for (size_t i = 0; i < route->subprotocol_count; i++) {
        if (route->subprotocols[i].kind == SUBPROTOCOL_NONE) {
            return true;
        }
    }
    return false;
}

static struct judgement judge_checked(const struct judge_request *asked)
{
    const struct rules *rules = bench.rules;
    struct judgement verdict = judge(rules, asked);
    enum judge_step furthest = JUDGE_HOST;
    const struct route *first = NULL;
    for (size_t i = rules->route_count; i-- > 0;) {
        struct slice subprotocol = {0};
        enum judge_step step = judge_route(&rules->routes[i], asked, &subprotocol);
        furthest = step > furthest ? step : furthest;
        if (step == JUDGE_TAKEN) {
            first = &rules->routes[i];
            require(subprotocol.len == 0 || is_offered(asked->subprotocols, subprotocol));
            require(!asked->upgrade || subprotocol.len > 0 || takes_none(first));
            require(!asked->upgrade || first->files == NULL);
        }
    }
    require(verdict.route == first && (verdict.route != NULL || verdict.reached == furthest));
    require((verdict.route == NULL) == (verdict.status != 0));
    require(verdict.status == (first != NULL ? 0 : judge_status(furthest)));
    return verdict;
}

/* ---- The verdict from its parts. 0: the head is not all there. */

static unsigned judge_head(struct asked *a, const char *bytes, const struct ip_addr *from)
{
    struct http_head *head = &a->head;
    http_head_read(&a->request, bytes, head);
    if (head->status != 0) {
        return head->status;
    }
    size_t len = 0;
    if (!http_path_decode(head->path, a->path, sizeof a->path, &len)) {
        return 400;
    }
    a->judged = (struct judge_request){.host = head->host,
        .port = head->port,
        .path = {a->path, len},
        .from = from,
        .upgrade = head->upgrade && head->method == HTTP_GET,
        .has_origin = head->has_origin,
        .origin = head->origin};
    if (a->judged.upgrade && !http_head_subprotocols(&a->request, bytes, a->subprotocols,
                                 sizeof a->subprotocols, &a->judged.subprotocols)) {
        return 400;
    }
    struct judgement verdict = judge_checked(&a->judged);
    bool files = verdict.route != NULL && verdict.route->files != NULL;
    if (head->method == HTTP_OTHER_METHOD || (head->method == HTTP_HEAD && verdict.route != NULL && !files)) {
        return 405;
    }
    if (verdict.route == NULL) {
        return verdict.status;
    }
    return files ? 404 : head->upgrade ? 101 : 426; /* its folder is not there */
}

static unsigned status_of(struct asked *a, const char *bytes, size_t len, const struct ip_addr *from)
{
    http_request_init(&a->request);
    switch (http_request_read(&a->request, bytes, len, LIMIT)) {
    case HTTP_MORE:
        return 0;
    case HTTP_BAD:
        return a->request.status;
    case HTTP_DONE:
        break;
    }
    return judge_head(a, bytes, from);
}

/* ---- A live one. */

static unsigned live_status(const void *bytes, size_t len)
{
    struct script_pair pair;
    unsigned status = 0;
    pair_init(&bench, &pair, &script_easy, &script_easy);
    say(&pair.client, bytes, len);
    pair.client.end = SCRIPT_EOF;
    bench_accept(&bench, &pair);
    bench_run(&bench);
    if (buf_len(&pair.client.heard) > 12) {
        const char *heard = (const char *)buf_data(&pair.client.heard);
        uint64_t number = 0;
        require(slice_to_u64((struct slice){heard + 9, 3}, 599, &number));
        status = (unsigned)number;
    }
    bench_pass(&bench, 60000);
    require(bench.relay.connections == 0);
    pair_fini(&pair);
    require(ftruncate(bench.log.fd, 0) == 0 && lseek(bench.log.fd, 0, SEEK_SET) == 0);
    bench.dialed[0] = '\0';
    return status;
}

/* ---- `sluice explain`, where the request is one that a URL can stand for. */

static bool is_printable(struct slice s, char from)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < from || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static void write_c(char *out, size_t cap, struct slice s)
{
    int n = snprintf(out, cap, "%.*s", SLICE_ARG(s));
    require(n >= 0 && (size_t)n < cap);
}

static void check_explained(const struct asked *a, const struct ip_addr *from)
{
    static struct explain_request request;
    char url[2 * LIMIT], origin[LIMIT], subprotocol[JOINED_MAX], client[IP_TEXT_MAX], why[EXPLAIN_WHY_MAX];
    const struct http_head *head = &a->head;
    struct slice target = head->path_and_query;
    if (!a->judged.upgrade || !is_printable(target, '!') || !is_printable(head->origin, ' ') ||
        slice_find(target, '#') < target.len || slice_find(head->authority, '@') < head->authority.len) {
        return;
    }
    int n = snprintf(url, sizeof url, "ws://%.*s%.*s", SLICE_ARG(head->authority), SLICE_ARG(target));
    require(n > 0 && (size_t)n < sizeof url);
    write_c(origin, sizeof origin, head->origin);
    write_c(subprotocol, sizeof subprotocol, a->judged.subprotocols);
    ip_format(from, client);
    struct explain_options options = {.file = "f",
        .url = url,
        .origin = head->has_origin ? origin : NULL,
        .subprotocol = subprotocol[0] != '\0' ? subprotocol : NULL,
        .from = client};
    if (!explain_request_make(&request, &options, bench.rules, why)) {
        require(target.p[0] != '/' || n > LIMIT - 512); /* an explained request may be longer than this one */
        return;
    }
    struct judgement live = judge(bench.rules, &a->judged);
    struct judgement told = judge_checked(&request.asked);
    require(told.route == live.route && told.reached == live.reached && told.status == live.status);
    require(slice_eq(told.subprotocol, live.subprotocol));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const clients[] = {"10.1.2.3", "192.0.2.1", "2001:db8::1", "::1"};
    static struct asked asked;
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    if (bench.rules == NULL) {
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* its assertions, where no test runs */
        bench_init_yaml(&bench, rules_text);
    }
    asked = (struct asked){0};
    require(ip_parse(slice_from(clients[data[0] % 4]), &bench.peer.addr));
    const char *bytes = (const char *)data + 1;
    unsigned status = status_of(&asked, bytes, size - 1, &bench.peer.addr);
    require(live_status(bytes, size - 1) == status);
    if (asked.judged.path.p != NULL) {
        check_explained(&asked, &bench.peer.addr);
    }
    return 0;
}
