/* Configurations that load: what is in the rules then. With the argument --keys it prints every key instead,
 * for the test of the schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "rules/load.h"
#include "rules/yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND 1000u
#define MINUTE (60u * SECOND)

static struct rules *load_as(const char *text, const char *file)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_text(text, strlen(text), file, &faults);
    faults_print(&faults, file, stderr);
    assert_int_equal(faults.count, 0);
    assert_non_null(rules);
    faults_fini(&faults);
    return rules;
}

static struct rules *load(const char *text)
{
    return load_as(text, "etc/sluice.yaml");
}

#define assert_slice_equal(slice, text) assert_true(slice_eq((slice), slice_from(text)))

static void the_least_file_has_every_default(void **state)
{
    (void)state;
    struct rules *rules = load("listen: {address: 127.0.0.1:8080}\nroutes: {target: tcp://127.0.0.1:5900}\n");
    assert_string_equal(rules->file, "etc/sluice.yaml");
    assert_int_equal(rules->workers, 0);
    assert_null(rules->user);
    assert_int_equal(rules->poller, POLLER_AUTO);
    assert_int_equal(rules->sandbox, SANDBOX_AUTO);
    assert_int_equal(rules->drain_ms, MINUTE);
    assert_true(rules->sessions_per_client_max == SIZE_OFF);
    assert_int_equal(rules->new_sessions_per_client.count, 0);
    assert_false(rules->revoke);
    assert_int_equal(rules->log_output, LOG_OUTPUT_STDERR);
    assert_int_equal(rules->log_rate.count, 0);
    assert_false(rules->admin.on);
    assert_int_equal(rules->handshake_ms, 10 * SECOND);
    assert_int_equal(rules->sessions_max, 10000);
    assert_int_equal(rules->request_bytes, 16384);
    assert_int_equal(rules->log_level, LOG_INFO);
    assert_int_equal(rules->log_format, LOG_TEXT);
    assert_null(rules->log_file);

    assert_int_equal(rules->listen_count, 1);
    assert_int_equal(rules->listens[0].address.kind, ENDPOINT_INET);
    assert_string_equal(rules->listens[0].address.host, "127.0.0.1");
    assert_int_equal(rules->listens[0].address.port, 8080);
    assert_null(rules->listens[0].tls);
    assert_null(rules->listens[0].fd_name);
    assert_false(rules->listens[0].proxy_protocol);
    assert_int_equal(rules->listens[0].trusted_proxy_count, 0);
    assert_false(rules->listens[0].trusts_unix);
    assert_int_equal(rules->listens[0].at.line, 1);
    assert_int_equal(rules->listens[0].at.column, 9);

    assert_int_equal(rules->route_count, 1);
    const struct route *route = &rules->routes[0];
    assert_string_equal(route->name, "routes[0]");
    assert_int_equal(route->at.line, 2);
    assert_int_equal(route->at.column, 9);
    assert_int_equal(route->host_count + route->path_count + route->from_count, 0);
    assert_int_equal(route->origin_count, 2);
    assert_int_equal(route->origins[0].kind, ORIGIN_SAME);
    assert_int_equal(route->origins[1].kind, ORIGIN_NONE);
    assert_int_equal(route->subprotocol_count, 2);
    assert_int_equal(route->subprotocols[0].kind, SUBPROTOCOL_ANY);
    assert_int_equal(route->subprotocols[1].kind, SUBPROTOCOL_NONE);
    assert_null(route->files);
    assert_int_equal(route->target_count, 1);
    assert_int_equal(route->balance, BALANCE_FIRST);
    assert_false(route->connect_retry);
    assert_int_equal(route->egress.allow_count + route->egress.deny_count, 0);
    assert_int_equal(route->target_proxy, TARGET_PROXY_OFF);
    assert_int_equal(route->targets[0].scheme, TARGET_TCP);
    assert_string_equal(route->targets[0].text, "tcp://127.0.0.1:5900");
    assert_string_equal(route->targets[0].address.host, "127.0.0.1");
    assert_int_equal(route->targets[0].address.port, 5900);
    assert_int_equal(route->targets[0].at.column, 18);
    assert_null(route->target_tls);
    assert_int_equal(route->messages, MESSAGES_BINARY);
    assert_int_equal(route->on_unreachable, ON_UNREACHABLE_CLOSE);
    assert_int_equal(route->on_client_abort, ON_CLIENT_ABORT_FIN);
    for (unsigned cause = 0; cause < CAUSE_COUNT; cause++)
        assert_int_equal(route->close_codes[cause], cause_close_code((enum cause)cause));
    assert_int_equal(route->timeouts.connect_ms, 5 * SECOND);
    assert_int_equal(route->timeouts.ping_ms, 25 * SECOND);
    assert_int_equal(route->timeouts.pong_ms, 20 * SECOND);
    assert_true(route->timeouts.idle_ms == DURATION_OFF);
    assert_true(route->timeouts.session_ms == DURATION_OFF);
    assert_int_equal(route->timeouts.close_ms, 5 * SECOND);
    assert_true(route->limits.sessions == SIZE_OFF);
    assert_true(route->limits.message_bytes == SIZE_OFF);
    assert_int_equal(route->limits.buffer_bytes, 256 << 10);
    assert_true(route->limits.rate_up_bytes == SIZE_OFF);
    assert_true(route->limits.rate_down_bytes == SIZE_OFF);
    rules_free(rules);
}

/* Every key there is; a_file_with_every_key_has_every_key holds it to that. */
static const char every_key[] =
    "workers: 3\n"
    "user: sluice\n"
    "poller: epoll\n"
    "listen:\n"
    "  - address: '[::1]:8443'\n"
    "    tls:\n"
    "      certificates:\n"
    "        - {cert: ../certs/a.crt, key: /abs/a.key}\n"
    "        - {cert: b.crt, key: b.key}\n"
    "      min_version: 1.3\n"
    "      client_ca: ca.crt\n"
    "      client_auth: optional\n"
    "      ktls: off\n"
    "    proxy_protocol: require\n"
    "    trusted_proxies: [10.0.0.0/8, 'unix:', 192.0.2.7]\n"
    "  - address: unix:run/sluice.sock\n"
    "    mode: 0660\n"
    "  - address: fd:sluice.socket\n"
    "    proxy_protocol: off\n"
    "    trusted_proxies: 'unix:'\n"
    "  - {address: ':0', tls: {certificates: {cert: c, key: c}, client_ca: ca, min_version: '1.2'}}\n"
    "routes:\n"
    "  - name: desk\n"
    "    host: [Desk.Example.com., '*.Desk.example.com', '[::1]', 10.0.0.1]\n"
    "    path: [/vnc, /vnc/*, /*]\n"
    "    origin: [same, any, none, HTTPS://A.example, 'http://*.a.example:8080', 'https://[::1]:444']\n"
    "    subprotocol: [any, none, binary, v1.k8s.io]\n"
    "    from: [10.0.0.0/8, 'fd00::/8', 192.0.2.7]\n"
    "    target: [tls://desk.internal:5900, unix:run/desk, tcp://desk.internal:5900]\n"
    "    balance: least_sessions\n"
    "    connect_retry: true\n"
    "    target_proxy_protocol: v2\n"
    "    egress: {deny: '::/0', allow: [10.0.0.0/8, 'fd00::/8']}\n"
    "    target_tls: {ca: ca.crt, server_name: desk.other, verify: false, cert: me.crt, key: me.key}\n"
    "    messages: text\n"
    "    on_unreachable: http\n"
    "    on_client_abort: reset\n"
    "    close_codes: {client_timeout: 4001, bad_frame: 4002, bad_utf8: 4003, bad_message_type: 4004,\n"
    "      message_too_big: 4005, target_eof: 1001, target_reset: 1011, target_refused: 4008,\n"
    "      target_unreachable: 4009, target_timeout: 4010, target_dns: 4011, target_tls: 4012, idle: 4013,\n"
    "      session_limit: 4014, target_not_text: 4015, drain: 4016, overload: 4017, revoked: 4018, "
    "killed: 4019, internal: 4999}\n"
    "    timeouts: {connect: 1ms, ping: 2s, pong: 3m, idle: 4h, session: 720h, close: 500ms}\n"
    "    limits: {sessions: 1, message: 1B, buffer: 4KiB, rate: {up: 1KiB, down: off}}\n"
    "  - path: /*\n"
    "    files: ../www\n"
    "timeouts: {handshake: 11s, connect: 12s, ping: 13s, pong: 14s, idle: 15s, session: 16s, close: 17s, "
    "drain: 18s}\n"
    "limits: {sessions: 18, sessions_per_client: 20, new_sessions_per_client: 21/m, request: 512B,\n"
    "  message: 19MiB, buffer: 16MiB, rate: {up: 22KiB, down: 23MiB}}\n"
    "log: {level: debug, format: json, output: ../log/sluice.log, rate: 24/h}\n"
    "reload: {revoke: true}\n"
    "sandbox: strict\n"
    "egress: {allow: '0.0.0.0/0', deny: [192.0.2.1]}\n"
    "admin: {address: ':9901', allow: [10.0.0.0/8, 'fd00::/8']}\n";

static void every_key_of_the_top_goes_to_its_place(void **state)
{
    (void)state;
    struct rules *rules = load(every_key);
    assert_int_equal(rules->workers, 3);
    assert_string_equal(rules->user, "sluice");
    assert_int_equal(rules->user_at.line, 2);
    assert_int_equal(rules->poller, POLLER_EPOLL);
    assert_int_equal(rules->sandbox, SANDBOX_STRICT);
    assert_int_equal(rules->sandbox_at.column, 10);
    assert_int_equal(rules->handshake_ms, 11 * SECOND);
    assert_int_equal(rules->drain_ms, 18 * SECOND);
    assert_int_equal(rules->sessions_per_client_max, 20);
    assert_int_equal(rules->new_sessions_per_client.count, 21);
    assert_int_equal(rules->new_sessions_per_client.per_ms, MINUTE);
    assert_int_equal(rules->log_output, LOG_OUTPUT_FILE);
    assert_int_equal(rules->log_rate.count, 24);
    assert_int_equal(rules->log_rate.per_ms, 60 * MINUTE);
    assert_true(rules->revoke);
    assert_true(rules->admin.on);
    assert_int_not_equal(rules->admin.at.line, 0);
    assert_int_equal(rules->admin.address.port, 9901);
    assert_int_equal(rules->admin.allow_count, 2);
    assert_int_equal(rules->admin.allow[0].prefix, 104);
    assert_int_equal(rules->admin.allow[1].prefix, 8);
    assert_int_equal(rules->sessions_max, 18);
    assert_int_equal(rules->request_bytes, 512);
    assert_int_equal(rules->log_level, LOG_DEBUG);
    assert_int_equal(rules->log_format, LOG_JSON);
    assert_string_equal(rules->log_file, "etc/../log/sluice.log");
    assert_int_not_equal(rules->log_file_at.line, 0);

    assert_int_equal(rules->listen_count, 4);
    const struct listen_rule *listen = &rules->listens[0];
    assert_string_equal(listen->address.host, "::1");
    assert_int_equal(listen->address.port, 8443);
    assert_int_equal(listen->tls->certificate_count, 2);
    assert_string_equal(listen->tls->certificates[0].cert, "etc/../certs/a.crt");
    assert_int_equal(listen->tls->certificates[0].cert_at.line, 8);
    assert_int_equal(listen->tls->certificates[0].cert_at.column, 18);
    assert_string_equal(listen->tls->certificates[0].key, "/abs/a.key");
    assert_int_equal(listen->tls->certificates[0].key_at.column, 39);
    assert_string_equal(listen->tls->certificates[1].key, "etc/b.key");
    assert_int_equal(listen->tls->min_version, TLS_MIN_1_3);
    assert_string_equal(listen->tls->client_ca, "etc/ca.crt");
    assert_int_equal(listen->tls->client_ca_at.line, 11);
    assert_int_equal(listen->tls->client_auth, CLIENT_AUTH_OPTIONAL);
    assert_int_equal(listen->tls->ktls, KTLS_OFF);
    assert_int_equal(rules->listens[1].address.kind, ENDPOINT_UNIX);
    assert_string_equal(rules->listens[1].address.path, "etc/run/sluice.sock");
    assert_null(rules->listens[1].fd_name);
    assert_int_equal(rules->listens[3].tls->client_auth, CLIENT_AUTH_REQUIRE);
    assert_int_equal(rules->listens[3].tls->min_version, TLS_MIN_1_2);
    assert_int_equal(rules->listens[3].tls->ktls, KTLS_AUTO);
    rules_free(rules);
}

static void who_stands_in_front_goes_to_its_place(void **state)
{
    (void)state;
    struct rules *rules = load(every_key);
    const struct listen_rule *listen = &rules->listens[0];
    assert_true(listen->proxy_protocol);
    assert_int_equal(listen->mode, 0); /* by the umask */
    assert_int_equal(listen->trusted_proxy_count, 2);
    assert_int_equal(listen->trusted_proxies[0].prefix, 104);
    assert_int_equal(listen->trusted_proxies[1].prefix, 128);
    assert_true(listen->trusts_unix);
    listen = &rules->listens[1];
    assert_false(listen->proxy_protocol);
    assert_int_equal(listen->trusted_proxy_count, 0);
    assert_false(listen->trusts_unix);
    assert_int_equal(listen->mode, 0660);
    listen = &rules->listens[2];
    assert_string_equal(listen->fd_name, "sluice.socket");
    assert_false(listen->proxy_protocol);
    assert_int_equal(listen->trusted_proxy_count, 0);
    assert_true(listen->trusts_unix);
    rules_free(rules);
}

static void several_targets_go_to_their_places(void **state)
{
    (void)state;
    struct rules *rules = load(every_key);
    const struct route *route = &rules->routes[0];
    assert_int_equal(route->target_count, 3);
    assert_int_equal(route->targets[1].scheme, TARGET_UNIX);
    assert_string_equal(route->targets[1].address.path, "etc/run/desk");
    assert_int_equal(route->targets[1].at.line, 29);
    assert_int_equal(route->targets[2].scheme, TARGET_TCP);
    assert_string_equal(route->targets[2].text, "tcp://desk.internal:5900");
    assert_int_equal(route->balance, BALANCE_LEAST_SESSIONS);
    assert_true(route->connect_retry);
    assert_int_equal(route->target_proxy, TARGET_PROXY_V2);
    assert_int_equal(route->egress.allow_count, 2);
    assert_int_equal(route->egress.allow[0].prefix, 104);
    assert_int_equal(route->egress.allow[1].prefix, 8);
    assert_int_equal(route->egress.deny_count, 1);
    assert_int_equal(route->egress.deny[0].prefix, 0);
    assert_int_equal(rules->routes[1].egress.allow_count, 1);
    assert_int_equal(rules->routes[1].egress.deny_count, 1);
    assert_int_equal(rules->routes[1].egress.deny[0].prefix, 128);
    rules_free(rules);
}

static void every_pattern_of_a_route_goes_to_its_place(void **state)
{
    (void)state;
    struct rules *rules = load(every_key);
    const struct route *route = &rules->routes[0];
    assert_string_equal(route->name, "desk");
    assert_int_equal(route->host_count, 4);
    assert_false(route->hosts[0].wildcard);
    assert_slice_equal(route->hosts[0].name, "desk.example.com");
    assert_true(route->hosts[1].wildcard);
    assert_slice_equal(route->hosts[1].name, "desk.example.com");
    assert_slice_equal(route->hosts[2].name, "[::1]");
    assert_slice_equal(route->hosts[3].name, "10.0.0.1");

    assert_int_equal(route->path_count, 3);
    assert_false(route->paths[0].prefix);
    assert_slice_equal(route->paths[0].path, "/vnc");
    assert_true(route->paths[1].prefix);
    assert_slice_equal(route->paths[1].path, "/vnc/");
    assert_true(route->paths[2].prefix);
    assert_slice_equal(route->paths[2].path, "/");

    assert_int_equal(route->origin_count, 6);
    assert_int_equal(route->origins[0].kind, ORIGIN_SAME);
    assert_int_equal(route->origins[1].kind, ORIGIN_ANY);
    assert_int_equal(route->origins[2].kind, ORIGIN_NONE);
    assert_int_equal(route->origins[3].kind, ORIGIN_URL);
    assert_slice_equal(route->origins[3].scheme, "https");
    assert_false(route->origins[3].wildcard);
    assert_slice_equal(route->origins[3].host, "a.example");
    assert_int_equal(route->origins[3].port, 443);
    assert_slice_equal(route->origins[4].scheme, "http");
    assert_true(route->origins[4].wildcard);
    assert_slice_equal(route->origins[4].host, "a.example");
    assert_int_equal(route->origins[4].port, 8080);
    assert_slice_equal(route->origins[5].host, "[::1]");
    assert_int_equal(route->origins[5].port, 444);

    assert_int_equal(route->subprotocol_count, 4);
    assert_int_equal(route->subprotocols[0].kind, SUBPROTOCOL_ANY);
    assert_int_equal(route->subprotocols[1].kind, SUBPROTOCOL_NONE);
    assert_int_equal(route->subprotocols[2].kind, SUBPROTOCOL_NAME);
    assert_slice_equal(route->subprotocols[2].name, "binary");
    assert_slice_equal(route->subprotocols[3].name, "v1.k8s.io");

    assert_int_equal(route->from_count, 3);
    assert_int_equal(route->from[0].prefix, 104);
    assert_int_equal(route->from[1].prefix, 8);
    assert_int_equal(route->from[2].prefix, 128);
    rules_free(rules);
}

static void the_rest_of_a_route_goes_to_its_place(void **state)
{
    (void)state;
    struct rules *rules = load(every_key);
    const struct route *route = &rules->routes[0];
    assert_int_equal(route->targets[0].scheme, TARGET_TLS);
    assert_string_equal(route->targets[0].address.host, "desk.internal");
    assert_string_equal(route->target_tls->ca, "etc/ca.crt");
    assert_string_equal(route->target_tls->server_name, "desk.other");
    assert_false(route->target_tls->verify);
    assert_string_equal(route->target_tls->cert, "etc/me.crt");
    assert_string_equal(route->target_tls->key, "etc/me.key");
    assert_int_equal(route->target_tls->ca_at.line, 34);
    assert_int_equal(route->target_tls->key_at.line, 34);
    assert_int_equal(route->messages, MESSAGES_TEXT);
    assert_int_equal(route->on_unreachable, ON_UNREACHABLE_HTTP);
    assert_int_equal(route->on_client_abort, ON_CLIENT_ABORT_RESET);
    assert_int_equal(route->close_codes[CAUSE_CLIENT_CLOSE], 0);
    assert_int_equal(route->close_codes[CAUSE_CLIENT_GONE], 0);
    assert_int_equal(route->close_codes[CAUSE_CLIENT_TIMEOUT], 4001);
    assert_int_equal(route->close_codes[CAUSE_TARGET_EOF], 1001);
    assert_int_equal(route->close_codes[CAUSE_TARGET_RESET], 1011);
    assert_int_equal(route->close_codes[CAUSE_KILLED], 4019);
    assert_int_equal(route->close_codes[CAUSE_INTERNAL], 4999);
    assert_int_equal(route->timeouts.connect_ms, 1);
    assert_int_equal(route->timeouts.ping_ms, 2 * SECOND);
    assert_int_equal(route->timeouts.pong_ms, 3 * MINUTE);
    assert_int_equal(route->timeouts.idle_ms, 4 * 60 * MINUTE);
    assert_int_equal(route->timeouts.session_ms, 2592000000u);
    assert_int_equal(route->timeouts.close_ms, 500);
    assert_int_equal(route->limits.sessions, 1);
    assert_int_equal(route->limits.message_bytes, 1);
    assert_int_equal(route->limits.buffer_bytes, 4096);
    assert_int_equal(route->limits.rate_up_bytes, 1024);
    assert_true(route->limits.rate_down_bytes == SIZE_OFF);

    const struct route *files = &rules->routes[1];
    assert_int_equal(files->index, 1);
    assert_string_equal(files->name, "routes[1]");
    assert_string_equal(files->files, "etc/../www");
    assert_int_equal(files->files_at.line, 45);
    assert_null(files->targets);
    assert_int_equal(files->timeouts.connect_ms, 12 * SECOND);
    assert_int_equal(files->timeouts.close_ms, 17 * SECOND);
    assert_int_equal(files->limits.message_bytes, 19 << 20);
    assert_int_equal(files->limits.buffer_bytes, 16 << 20);
    assert_int_equal(files->limits.rate_up_bytes, 22 << 10);
    assert_int_equal(files->limits.rate_down_bytes, 23 << 20);
    rules_free(rules);
}

static void words_that_switch_off(void **state)
{
    (void)state;
    struct rules *rules =
        load("workers: auto\nlisten: {address: ':1'}\nroutes: {target: [tcp://a:1], limits: {rate: "
             "{up: off}}}\ntimeouts: {drain: off}\nlimits: {sessions_per_client: off, "
             "new_sessions_per_client: off, rate: {up: 2KiB, down: 3KiB}}\nlog: {output: syslog, "
             "rate: off}\nadmin: {address: unix:/run/a}\n");
    assert_int_equal(rules->workers, 0);
    assert_true(rules->drain_ms == DURATION_OFF);
    assert_true(rules->sessions_per_client_max == SIZE_OFF);
    assert_int_equal(rules->new_sessions_per_client.count, 0);
    assert_true(rules->routes[0].limits.rate_up_bytes == SIZE_OFF);
    assert_int_equal(rules->routes[0].limits.rate_down_bytes, 3 << 10);
    assert_int_equal(rules->log_output, LOG_OUTPUT_SYSLOG);
    assert_null(rules->log_file);
    assert_int_equal(rules->log_rate.count, 0);
    assert_int_equal(rules->admin.allow_count, 0);
    assert_int_equal(rules->admin.address.kind, ENDPOINT_UNIX);
    rules_free(rules);
}

/* ---- The list of keys */

static const struct tree_node *first_that_has(const struct tree_node *parent, struct slice dotted);

static const struct tree_node *child_of(const struct tree_node *node, struct slice name, struct slice rest)
{
    const struct tree_node *child = node->kind == TREE_MAP ? yaml_tree_find(node, name) : NULL;
    return !child || rest.len == 0 ? child : first_that_has(child, rest);
}

/* Looks in every item of a list. */
static const struct tree_node *first_that_has(const struct tree_node *parent, struct slice dotted)
{
    size_t dot = slice_find(dotted, '.');
    struct slice name = {dotted.p, dot};
    struct slice rest =
        dot < dotted.len ? (struct slice){dotted.p + dot + 1, dotted.len - dot - 1} : SLICE("");
    if (slice_ends_nocase(name, SLICE("[]")))
        name.len -= 2;
    if (parent->kind == TREE_MAP)
        return child_of(parent, name, rest);
    const struct tree_node *found = NULL;
    for (const struct tree_node *item = parent->first; item && !found; item = item->next)
        found = child_of(item, name, rest);
    return found;
}

static unsigned key_count;

static void look_for(const char *key, void *root)
{
    key_count++;
    if (!first_that_has(root, slice_from(key)))
        fail_msg("every_key has no %s", key);
}

static void a_file_with_every_key_has_every_key(void **state)
{
    (void)state;
    struct arena arena;
    struct faults faults;
    arena_init(&arena);
    faults_init(&faults);
    struct tree_node *root = yaml_tree_parse(&arena, slice_from(every_key), &faults);
    assert_non_null(root);
    key_count = 0;
    rules_each_key(look_for, root);
    assert_int_equal(key_count, 108);
    faults_fini(&faults);
    arena_fini(&arena);
}

/* ---- What is filled in */

#define LISTEN "listen: {address: ':1'}\n"

static void routes_start_from_the_timeouts_and_limits_of_all(void **state)
{
    (void)state;
    struct rules *rules =
        load(LISTEN "routes: [{target: unix:/a, timeouts: {idle: off}, limits: {sessions: off}},"
                    " {target: unix:/a, timeouts: {close: 1s}}]\n"
                    "limits: {message: 1KiB, sessions: off}\ntimeouts: {idle: 9s}\n");
    assert_true(rules->sessions_max == SIZE_OFF);
    assert_true(rules->routes[0].timeouts.idle_ms == DURATION_OFF);
    assert_int_equal(rules->routes[0].timeouts.close_ms, 5 * SECOND);
    assert_true(rules->routes[0].limits.sessions == SIZE_OFF);
    assert_int_equal(rules->routes[0].limits.message_bytes, 1024);
    assert_int_equal(rules->routes[1].timeouts.idle_ms, 9 * SECOND);
    assert_int_equal(rules->routes[1].timeouts.close_ms, 1 * SECOND);
    rules_free(rules);
}

static void no_pings_without_both_ping_and_pong(void **state)
{
    (void)state;
    struct rules *rules = load(
        LISTEN "timeouts: {ping: off}\nroutes: [{target: unix:/a}, {target: unix:/a, timeouts: {ping: 1s}},"
               " {target: unix:/a, timeouts: {ping: 1s, pong: off}}]\n");
    assert_true(rules->routes[0].timeouts.ping_ms == DURATION_OFF);
    assert_true(rules->routes[0].timeouts.pong_ms == DURATION_OFF);
    assert_int_equal(rules->routes[1].timeouts.ping_ms, SECOND);
    assert_int_equal(rules->routes[1].timeouts.pong_ms, 20 * SECOND);
    assert_true(rules->routes[2].timeouts.ping_ms == DURATION_OFF);
    assert_true(rules->routes[2].timeouts.pong_ms == DURATION_OFF);
    rules_free(rules);
}

static void a_tls_target_is_verified_unless_told_otherwise(void **state)
{
    (void)state;
    struct rules *rules = load(LISTEN "routes: [{target: tls://a:1}, {target: tls://a:1, target_tls: {}},"
                                      " {target: 'tls://[::1]:1', target_tls: {server_name: 10.0.0.1}}]\n");
    for (size_t i = 0; i < 2; i++) {
        const struct target_tls_rule *tls = rules->routes[i].target_tls;
        assert_true(tls->verify);
        assert_null(tls->ca);
        assert_null(tls->server_name);
        assert_null(tls->cert);
        assert_null(tls->key);
    }
    assert_string_equal(rules->routes[2].targets[0].address.host, "::1");
    assert_string_equal(rules->routes[2].target_tls->server_name, "10.0.0.1");
    rules_free(rules);
}

static void paths_are_relative_to_the_file(void **state)
{
    (void)state;
    static const char text[] = LISTEN "routes: {target: unix:run/s}\nlog: {output: a.log}\n";
    static const struct {
        const char *file, *socket, *log;
    } rows[] = {
        {"sluice.yaml", "run/s", "a.log"},
        {"./sluice.yaml", "./run/s", "./a.log"},
        {"/etc/sluice/sluice.yaml", "/etc/sluice/run/s", "/etc/sluice/a.log"},
        {"/sluice.yaml", "/run/s", "/a.log"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rules *rules = load_as(text, rows[i].file);
        assert_string_equal(rules->routes[0].targets[0].address.path, rows[i].socket);
        assert_string_equal(rules->routes[0].targets[0].text, "unix:run/s");
        assert_string_equal(rules->log_file, rows[i].log);
        rules_free(rules);
    }
    struct rules *rules = load(LISTEN "routes: {target: unix:/a}\nlog: {output: stderr}\n");
    assert_null(rules->log_file);
    rules_free(rules);
}

/* ---- Files and command lines */

static void assert_told(struct rules *rules, struct faults *faults, const char *expected)
{
    char *told = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&told, &len);
    assert_non_null(out);
    assert_null(rules);
    faults_print(faults, "F", out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(told, expected);
    free(told);
    faults_fini(faults);
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
    (void)state;
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_file("/nonexistent/sluice.yaml", &faults);
    assert_told(rules, &faults, "F: cannot be read: No such file or directory\n");
    faults_init(&faults);
    rules = rules_load_file("/", &faults);
    assert_told(rules, &faults, "F: cannot be read: Is a directory\n");
    faults_init(&faults);
    rules = rules_load_file("/dev/zero", &faults);
    assert_told(rules, &faults, "F: is over 1 MiB: that is no configuration\n");
}

static void a_file_loads_as_its_text_does(void **state)
{
    (void)state;
    char file[] = "/tmp/sluice-test-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, every_key, sizeof every_key - 1), sizeof every_key - 1);
    assert_int_equal(close(fd), 0);
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_file(file, &faults);
    assert_int_equal(unlink(file), 0);
    assert_non_null(rules);
    assert_int_equal(faults.count, 0);
    assert_string_equal(rules->routes[1].files, "/tmp/../www");
    rules_free(rules);
}

static void a_command_line_makes_one_route(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *target;
        enum endpoint_kind kind;
        const char *listen_host;
        enum target_scheme scheme;
        const char *target_text;
    } rows[] = {
        {"8080", "desk:5900", ENDPOINT_INET, "", TARGET_TCP, "tcp://desk:5900"},
        {":8080", "tls://desk:5900", ENDPOINT_INET, "", TARGET_TLS, "tls://desk:5900"},
        {"[::1]:8080", "[::1]:5900", ENDPOINT_INET, "::1", TARGET_TCP, "tcp://[::1]:5900"},
        {"unix:run/a", "unix:run/b", ENDPOINT_UNIX, "", TARGET_UNIX, "unix:run/b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults;
        faults_init(&faults);
        struct rules *rules = rules_from_arguments(rows[i].listen, rows[i].target, &faults);
        assert_non_null(rules);
        assert_string_equal(rules->file, "");
        assert_int_equal(rules->listen_count, 1);
        assert_int_equal(rules->listens[0].address.kind, rows[i].kind);
        assert_string_equal(rules->listens[0].address.host, rows[i].listen_host);
        assert_int_equal(rules->listens[0].address.port, rows[i].kind == ENDPOINT_INET ? 8080 : 0);
        assert_int_equal(rules->route_count, 1);
        assert_int_equal(rules->routes[0].targets[0].scheme, rows[i].scheme);
        assert_string_equal(rules->routes[0].targets[0].text, rows[i].target_text);
        assert_int_equal(rules->routes[0].target_tls != NULL, rows[i].scheme == TARGET_TLS);
        assert_int_equal(rules->routes[0].timeouts.ping_ms, 25 * SECOND);
        assert_int_equal(rules->handshake_ms, 10 * SECOND);
        rules_free(rules);
    }
}

static void a_bad_command_line_names_the_argument(void **state)
{
    (void)state;
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_from_arguments("70000", "http://desk:5900", &faults);
    assert_told(rules, &faults,
        "F: LISTEN: \"70000\" is no port: a port is 0 to 65535\n"
        "F: TARGET: \"http://desk:5900\" is not a target: write tcp://HOST:PORT, tls://HOST:PORT or "
        "unix:/path\n");
}

static void a_bad_target_is_quoted_as_it_was_typed(void **state)
{
    (void)state;
    static const struct {
        const char *target, *told;
    } rows[] = {
        {"5900", "F: TARGET: \"5900\" has no host: write HOST:PORT, such as 127.0.0.1:5900\n"},
        {"desk", "F: TARGET: \"desk\" has no port: write tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
        {":5900", "F: TARGET: \":5900\" has no host: write the one to connect to, such as 127.0.0.1\n"},
        {"desk:0", "F: TARGET: \"desk:0\" has port 0, to which nothing connects: write 1 to 65535\n"},
        {"desk:1/x",
            "F: TARGET: \"desk:1/x\" has a path, but a target is a host and a port: take the path out\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults;
        faults_init(&faults);
        struct rules *rules = rules_from_arguments("8080", rows[i].target, &faults);
        assert_told(rules, &faults, rows[i].told);
    }
}

static void print_key(const char *key, void *context)
{
    (void)context;
    puts(key);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_file_has_every_default),
        cmocka_unit_test(every_key_of_the_top_goes_to_its_place),
        cmocka_unit_test(who_stands_in_front_goes_to_its_place),
        cmocka_unit_test(several_targets_go_to_their_places),
        cmocka_unit_test(words_that_switch_off),
        cmocka_unit_test(every_pattern_of_a_route_goes_to_its_place),
        cmocka_unit_test(the_rest_of_a_route_goes_to_its_place),
        cmocka_unit_test(a_file_with_every_key_has_every_key),
        cmocka_unit_test(routes_start_from_the_timeouts_and_limits_of_all),
        cmocka_unit_test(no_pings_without_both_ping_and_pong),
        cmocka_unit_test(a_tls_target_is_verified_unless_told_otherwise),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(a_file_that_cannot_be_read_says_so),
        cmocka_unit_test(a_file_loads_as_its_text_does),
        cmocka_unit_test(a_command_line_makes_one_route),
        cmocka_unit_test(a_bad_command_line_names_the_argument),
        cmocka_unit_test(a_bad_target_is_quoted_as_it_was_typed),
    };
    if (argc == 2 && strcmp(argv[1], "--keys") == 0) {
        rules_each_key(print_key, NULL);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
