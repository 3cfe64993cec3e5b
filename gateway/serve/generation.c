#include "serve/generation.h"
#include "serve/log_open.h"
#include "serve/sandbox.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 512 };

static bool cannot(struct generation_fault *fault, int status, const char *text)
{
    fault->status = status;
    (void)snprintf(fault->text, sizeof fault->text, "sluice: %s", text);
    return false;
}

static bool cannot_at(
    struct generation_fault *fault, const struct rules *rules, struct place at, int status, const char *why)
{
    if (rules->file[0] == '\0') {
        return cannot(fault, status, why);
    }
    fault->status = status;
    if (at.line > 0) {
        (void)snprintf(fault->text, sizeof fault->text, "%s:%u:%u: %s", rules->file, at.line, at.column, why);
    } else {
        (void)snprintf(fault->text, sizeof fault->text, "%s: %s", rules->file, why);
    }
    return false;
}

static bool bad_file(
    struct generation_fault *fault, const struct rules *rules, struct place at, const char *why)
{
    return cannot_at(fault, rules, at, EXIT_USAGE, why);
}

/* ---- Opening, step by step. */

static uint32_t count_workers(uint32_t asked)
{
    cpu_set_t ours;
    if (asked > 0) {
        return asked;
    }
    int count = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : 1;
    return count > 0 && count <= WORKERS_MAX ? (uint32_t)count : WORKERS_MAX;
}

static bool open_log(struct generation *g, struct board *board, struct generation_fault *fault)
{
    char why[LOG_OPEN_WHY_MAX];
    g->log_opened = log_open(&g->log, g->rules, &board->head->log_tat, why);
    if (!g->log_opened) {
        return cannot_at(fault, g->rules, g->rules->log_file_at, EXIT_CANNOT_RUN, why);
    }
    if (why[0] != '\0') {
        (void)fprintf(stderr, "sluice: %s\n", why);
    }
    return true;
}

static bool find_user(struct generation *g, struct generation_fault *fault)
{
    char why[PRIVILEGES_WHY_MAX];
    switch (privileges_find(g->rules->user, &g->identity, why)) {
    case IDENTITY_FOUND:
        return true;
    case IDENTITY_UNKNOWN:
        return bad_file(fault, g->rules, g->rules->user_at, why);
    case IDENTITY_REFUSED:
        break;
    }
    return cannot(fault, EXIT_CANNOT_RUN, why);
}

static bool find_sandbox(struct generation *g, struct generation_fault *fault)
{
    char why[SANDBOX_WHY_MAX];
    struct sandbox_means means = sandbox_means_find();
    if (sandbox_suffices(g->rules, &means, why)) {
        return true;
    }
    char text[SANDBOX_WHY_MAX + 16];
    (void)snprintf(text, sizeof text, "sandbox: %s", why);
    /* on another machine it may */
    return cannot_at(fault, g->rules, g->rules->sandbox_at, EXIT_CANNOT_RUN, text);
}

/* Of the entry at `i`: a listener, or behind them all `admin`. */
static struct place place_of(const struct rules *rules, size_t i)
{
    return i < rules->listen_count ? rules->listens[i].at : rules->admin.at;
}

/* Of those that ask for a port of the system's: how many of the listeners in front of `before` do so at the
 * same host. `admin` is none of them, however many there come to be. */
static unsigned count_alike(const struct rules *rules, const struct endpoint *address, size_t before)
{
    unsigned count = 0;
    if (address->kind != ENDPOINT_INET || address->port != 0) {
        return 0;
    }
    if (before >= rules->listen_count) {
        return UINT_MAX;
    }
    for (size_t i = 0; i < before; i++) {
        const struct listen_rule *rule = &rules->listens[i];
        count += rule->fd_name == NULL && rule->address.kind == ENDPOINT_INET && rule->address.port == 0 &&
                 strcmp(rule->address.host, address->host) == 0;
    }
    return count;
}

static bool open_sockets(struct generation *g, struct sockets *sockets, struct generation_fault *fault)
{
    char why[SOCKETS_WHY_MAX];
    const struct rules *rules = g->rules;
    size_t count = rules->listen_count + (rules->admin.on ? 1 : 0);
    g->entries = calloc(count, sizeof *g->entries);
    if (g->entries == NULL) {
        return cannot(fault, EXIT_CANNOT_RUN, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const struct listen_rule *rule = i < rules->listen_count ? &rules->listens[i] : NULL;
        struct sockets_wish wish = {
            .address = rule != NULL ? &rule->address : &rules->admin.address,
            .fd_name = rule != NULL ? rule->fd_name : NULL,
            .workers = rule != NULL ? g->workers : 1,
            .mode = rule != NULL ? rule->mode : 0,
        };
        wish.nth = wish.fd_name == NULL ? count_alike(rules, wish.address, i) : 0;
        g->entries[i] = sockets_use(sockets, wish, why);
        if (g->entries[i] == NULL) {
            return cannot_at(fault, rules, place_of(rules, i), EXIT_CANNOT_RUN, why);
        }
        g->entry_count++;
    }
    return true;
}

static bool open_tls(
    struct generation *g, size_t index, const struct listen_tls_rule *rule, struct generation_fault *fault)
{
    char why[TLS_WHY_MAX];
    enum tls_blamed blamed;
    struct tls_server *server = tls_server_new(rule->min_version == TLS_MIN_1_3);
    g->tls[index] = server;
    if (server == NULL) {
        return cannot(fault, EXIT_CANNOT_RUN, "TLS: out of memory");
    }
    tls_server_share_tickets(server, g->tickets);
    if (rule->ktls == KTLS_AUTO && tls_ktls_missing() == NULL) {
        tls_server_use_ktls(server);
    }
    for (size_t i = 0; i < rule->certificate_count; i++) {
        const struct certificate_rule *pair = &rule->certificates[i];
        if (!tls_server_add_certificate(server, pair->cert, pair->key, why, &blamed)) {
            return bad_file(fault, g->rules, blamed == TLS_BLAMED_KEY ? pair->key_at : pair->cert_at, why);
        }
    }
    bool require = rule->client_auth == CLIENT_AUTH_REQUIRE;
    return rule->client_ca == NULL || tls_server_ask_client(server, rule->client_ca, require, why) ||
           bad_file(fault, g->rules, rule->client_ca_at, why);
}

static bool open_all_tls(struct generation *g, struct generation_fault *fault)
{
    g->tls = calloc(g->rules->listen_count, sizeof *g->tls);
    if (g->tls == NULL) {
        return cannot(fault, EXIT_CANNOT_RUN, "out of memory");
    }
    for (size_t i = 0; i < g->rules->listen_count; i++) {
        const struct listen_tls_rule *rule = g->rules->listens[i].tls;
        if (rule != NULL && !open_tls(g, i, rule, fault)) {
            return false;
        }
    }
    return true;
}

/* The contexts for targets are opened here as well: their keys may be root's too. */
static bool open_relay(struct generation *g, struct board *board, struct generation_fault *fault)
{
    char why[TLS_WHY_MAX];
    g->rows = calloc(g->rules->route_count, sizeof *g->rows);
    if (g->rows == NULL) {
        return cannot(fault, EXIT_CANNOT_RUN, "out of memory");
    }
    for (size_t i = 0; i < g->rules->route_count; i++) {
        g->rows[i] = board_row(board, g->rules->routes[i].name);
    }
    board_census(board, 0, &g->census); /* each worker has its own */
    struct dial_host nowhere = {0};
    g->relay_opened = relay_init(&g->relay, g->rules, &g->log, nowhere, &g->census, g->rows, why);
    return g->relay_opened || bad_file(fault, g->rules, (struct place){0, 0}, why);
}

struct generation *generation_open(struct rules *rules, uint32_t number, struct board *board,
    struct sockets *sockets, struct generation_fault *fault)
{
    struct generation *g = calloc(1, sizeof *g);
    if (g == NULL) {
        rules_free(rules);
        (void)cannot(fault, EXIT_CANNOT_RUN, "out of memory");
        return NULL;
    }
    g->rules = rules;
    g->number = number;
    g->workers = count_workers(rules->workers);
    g->tickets = &board->head->tickets;
    if (!open_log(g, board, fault) || !find_user(g, fault) || !find_sandbox(g, fault) ||
        !open_sockets(g, sockets, fault) || !open_all_tls(g, fault) || !open_relay(g, board, fault)) {
        generation_free(g);
        return NULL;
    }
    return g;
}

bool generation_begin(struct generation *generation, struct generation_fault *fault)
{
    char why[SOCKETS_WHY_MAX];
    for (size_t i = 0; i < generation->entry_count; i++) {
        if (!sockets_begin(generation->entries[i], why)) {
            struct place at = place_of(generation->rules, i);
            return cannot_at(fault, generation->rules, at, EXIT_CANNOT_RUN, why);
        }
    }
    return true;
}

void generation_commit(struct generation *generation)
{
    generation->committed = true;
    for (size_t i = 0; i < generation->entry_count; i++) {
        bool is_listener = i < generation->rules->listen_count;
        sockets_commit(generation->entries[i], is_listener ? generation->rules->listens[i].mode : 0);
    }
}

void generation_forget_keys(struct generation *generation)
{
    if (generation->relay_opened) {
        relay_fini(&generation->relay);
        generation->relay_opened = false;
    }
    for (size_t i = 0; generation->tls != NULL && i < generation->rules->listen_count; i++) {
        tls_server_free(generation->tls[i]);
        generation->tls[i] = NULL;
    }
}

void generation_free(struct generation *generation)
{
    if (generation == NULL) {
        return;
    }
    generation_forget_keys(generation);
    for (size_t i = 0; i < generation->entry_count; i++) {
        sockets_leave(generation->entries[i]);
    }
    if (generation->log_opened) {
        log_fini(&generation->log);
    }
    free(generation->tls);
    free(generation->entries);
    free(generation->rows);
    rules_free(generation->rules);
    free(generation);
}

struct socket_entry *generation_admin(const struct generation *generation)
{
    return generation->rules->admin.on ? generation->entries[generation->rules->listen_count] : NULL;
}

/* Once, where a listener would have it. */
static void log_ktls(struct generation *generation)
{
    bool wanted = false;
    for (size_t i = 0; i < generation->rules->listen_count; i++) {
        const struct listen_tls_rule *rule = generation->rules->listens[i].tls;
        wanted = wanted || (rule != NULL && rule->ktls == KTLS_AUTO);
    }
    if (!wanted) {
        return;
    }
    const char *missing = tls_ktls_missing();
    struct log_line line;
    log_begin(&line, &generation->log, LOG_INFO, "ktls");
    log_cstr(&line, "status", missing == NULL ? "available" : "unavailable");
    if (missing != NULL) {
        log_cstr(&line, "reason", missing);
    }
    log_end(&line);
}

void generation_log_listen(const struct generation *generation, struct log_line *line)
{
    char array[LOG_LINE_MAX];
    struct text listen;
    text_init(&listen, array, sizeof array);
    for (size_t i = 0; i < generation->rules->listen_count; i++) {
        text_addf(&listen, "%s%s", i == 0 ? "" : ",", generation->entries[i]->bound);
    }
    log_str(line, "listen", text_slice(&listen));
    const struct socket_entry *admin = generation_admin(generation);
    if (admin != NULL) {
        log_cstr(line, "admin", admin->bound);
    }
}

void generation_log_ready(struct generation *generation)
{
    log_ktls(generation);
    static const char *const pollers[] = {
        [POLLER_AUTO] = "auto", [POLLER_POLL] = "poll", [POLLER_EPOLL] = "epoll"};
    struct log_line line;
    sandbox_log(generation->rules, &generation->log);
    log_begin(&line, &generation->log, LOG_INFO, "ready");
    log_cstr(&line, "version", SLUICE_VERSION);
    generation_log_listen(generation, &line);
    log_cstr(&line, "poller", pollers[generation->rules->poller]);
    log_u64(&line, "workers", generation->workers);
    log_end(&line);
}
