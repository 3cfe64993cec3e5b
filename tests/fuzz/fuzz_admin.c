/* Any bytes to the admin listener: what it refuses it can say in one printable line; what it takes has been
 * asked for by a method, a page and a filter that fit each other. The first byte chooses who asks. */
#include "serve/admin_http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static struct board_head *board_once(void)
{
    static struct board_head *board;
    if (board == NULL) {
        board = calloc(1, sizeof *board);
        if (board == NULL)
            abort();
        memcpy(board->names[0], "desk", 5);
        memcpy(board->names[1], "my route/1", 11);
        atomic_store(&board->rows_used, 2);
    }
    return board;
}

static struct sock_peer peer_of(uint8_t choice)
{
    static const struct slice from[] = {{"127.0.0.1", 9}, {"10.1.2.3", 8}, {"192.0.2.1", 9}, {"::1", 3}};
    struct sock_peer peer = {.is_unix = choice % 5 == 4};
    if (!peer.is_unix)
        require(ip_parse(from[choice % 5], &peer.addr));
    return peer;
}

static void look_at(const struct admin_ask *ask, const struct sock_peer *peer, const struct admin_rule *rule)
{
    if (ask->status != 0) {
        require(ask->status >= 400 && ask->status < 500 && ask->why[0] != '\0');
        for (const char *at = ask->why; *at != '\0'; at++)
            require(*at >= ' ' && *at <= '~');
        require((ask->status == 405) == (ask->allow[0] != '\0'));
        return;
    }
    bool filtered = ask->filter.route[0] != '\0' || ask->filter.client[0] != '\0';
    require(admin_http_may_connect(rule, peer));
    require(!ask->ends || ask->page == ADMIN_SESSIONS || ask->page == ADMIN_SESSION);
    require((ask->filter.id != 0) == (ask->page == ADMIN_SESSION));
    require(!filtered || ask->page == ADMIN_SESSIONS);
    require(strnlen(ask->filter.route, CONTROL_ROUTE_MAX) < CONTROL_ROUTE_MAX);
    require(strnlen(ask->filter.client, CONTROL_CLIENT_MAX) < CONTROL_CLIENT_MAX);
    struct ip_net net;
    require(ask->filter.client[0] == '\0' || ip_net_parse(slice_from(ask->filter.client), &net, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request request;
    struct ip_net allowed;
    if (size < 1)
        return 0;
    require(ip_net_parse(SLICE("10.0.0.0/8"), &allowed, NULL));
    struct admin_rule rule = {.on = true, .allow = &allowed, .allow_count = 1};
    struct admin_context context = {&rule, peer_of(data[0]), "machine", board_once()};
    struct admin_ask ask;
    const char *bytes = (const char *)data + 1;
    http_request_init(&request);
    if (http_request_read(&request, bytes, size - 1, 8192) == HTTP_DONE) {
        admin_http_judge(&context, &request, bytes, &ask);
        look_at(&ask, &context.peer, &rule);
    }
    return 0;
}
