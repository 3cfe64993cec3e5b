/* Any text as a configuration: it loads or it tells a fault, and nothing is read, kept or lost that should
 * not be. */
#include "base/text.h"
#include "rules/judge.h"
#include "rules/load.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* What rules.h promises of rules that loaded. */
static void check_rules(const struct rules *rules)
{
    require(rules->listen_count > 0 && rules->route_count > 0);
    require(rules->workers <= 512);
    require(rules->new_sessions_per_client.per_ms >= 1000 && rules->log_rate.per_ms >= 1000);
    require((rules->log_output == LOG_OUTPUT_FILE) == (rules->log_file != NULL));
    require(rules->admin.on == (rules->admin.at.line > 0));
    for (size_t i = 0; i < rules->listen_count; i++) {
        const struct listen_tls_rule *tls = rules->listens[i].tls;
        require(
            !tls || (tls->certificate_count > 0 && tls->certificates[0].cert && tls->certificates[0].key));
        require(!tls || (tls->client_auth == CLIENT_AUTH_NONE) == (tls->client_ca == NULL));
        require(!rules->listens[i].proxy_protocol || rules->listens[i].trusts_unix ||
                rules->listens[i].trusted_proxy_count > 0);
    }
    for (size_t i = 0; i < rules->route_count; i++) {
        const struct route *route = &rules->routes[i];
        require(route->index == i && route->name && route->at.line > 0);
        require((route->files != NULL) != (route->targets != NULL));
        require(route->origin_count > 0 && route->subprotocol_count > 0);
        bool wants_tls = false;
        require((route->targets != NULL) == (route->target_count > 0) && route->target_count <= 64);
        for (size_t j = 0; j < route->target_count; j++) {
            require(route->targets[j].text && route->targets[j].at.line > 0);
            wants_tls |= route->targets[j].scheme == TARGET_TLS;
        }
        require(wants_tls == (route->target_tls != NULL));
    }
    struct judge_request request = {.host = SLICE("a.example"),
        .port = 443,
        .path = SLICE("/vnc"),
        .tls = true,
        .upgrade = true,
        .has_origin = true,
        .origin = SLICE("https://a.example"),
        .subprotocols = SLICE("binary")};
    (void)judge(rules, &request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *told = NULL;
    size_t told_len = 0;
    FILE *out = open_memstream(&told, &told_len);
    struct faults faults;
    require(out != NULL);
    faults_init(&faults);
    struct rules *rules = rules_load_text((const char *)data, size, "etc/f", &faults);
    require((rules == NULL) == (faults.error_count > 0));
    if (rules) {
        check_rules(rules);
        rules_warn_hidden(rules, &faults);
    }
    faults_print(&faults, "f", out);
    fclose(out);
    for (size_t i = 0; i < told_len; i++)
        require(told[i] == '\n' || ((unsigned char)told[i] >= 0x20 && told[i] != 0x7F));
    free(told);
    rules_free(rules);
    faults_fini(&faults);
    return 0;
}
