/* The faults of a configuration in what a service needs beyond one session: workers, proxies in front,
 * several targets, limits by client, the admin address. */
#include "load_rows.h"

#include <stdio.h>
#include <string.h>

#define L      "listen: {address: \":0\"}\n"
#define R      "routes: {target: \"tcp://h:1\"}\n"
#define BOTH   L R
#define LISTEN R "listen:\n  - address: \"127.0.0.1:80\"\n    "
#define ROUTE  L "routes:\n  - target: tcp://h:1\n    "

static const struct load_row rows[] = {
    /* ---- workers, user, reload */
    {BOTH "workers: 0\n",
        "f:3:10: workers: is too little: the least is 1, and \"auto\" is one for each CPU\n"},
    {BOTH "workers: 513\n", "f:3:10: workers: \"513\" is not a number from 1 to 512, or auto\n"},
    {BOTH "workers: all\n", "f:3:10: workers: \"all\" is not a number from 1 to 512, or auto\n"},
    {BOTH "workers: \"2\"\n", "f:3:10: workers: is a text: write 2 without quotes\n"},
    {BOTH "workers: [2]\n", "f:3:10: workers: has to be one value, not a list\n"},
    {BOTH "worker: 2\n", "f:3:1: worker: unknown key (did you mean \"workers\"?)\n"},
    {BOTH "user: 1000\n", "f:3:7: user: \"1000\" is a number: write the user's name, such as sluice\n"},
    {BOTH "user: \"sluice:sluice\"\n",
        "f:3:7: user: \"sluice:sluice\" is no name of a user: write one such as sluice\n"},
    {BOTH "user: a/b\n", "f:3:7: user: \"a/b\" is no name of a user: write one such as sluice\n"},
    {BOTH "user: \"\"\n", "f:3:7: user: is empty: write a value, or take the key out\n"},
    {BOTH "sandbox: on\n", "f:3:10: sandbox: \"on\" is not one of its words: write auto, off or strict\n"},
    {BOTH "reload: {revoke: yes}\n",
        "f:3:18: reload.revoke: \"yes\" is neither true nor false: write one of them\n"},
    {BOTH "reload: revoke\n", "f:3:9: reload: has to be a mapping; the keys here are revoke\n"},

    /* ---- listen: sockets that are handed over */
    {R "listen: {address: \"fd:\"}\n",
        "f:2:19: listen.address: \"fd:\" names no socket: write fd:NAME with the FileDescriptorName= of the "
        "service manager's socket\n"},
    {R "listen: {address: \"fd:a:b\"}\n",
        "f:2:19: listen.address: \"fd:a:b\" names no socket: write fd:NAME with the FileDescriptorName= of "
        "the service manager's socket\n"},
    {R "listen: {address: \"fd:a b\"}\n",
        "f:2:19: listen.address: \"fd:a b\" names no socket: write fd:NAME with the FileDescriptorName= of "
        "the service manager's socket\n"},
    {R "listen: [{address: fd:a}, {address: fd:b}, {address: fd:a}, {address: \":0\"}]\n",
        "f:2:44: listen[2]: has the socket of listen[0]: take one of them out\n"},
    {R "listen: [{address: \"[::1]:80\"}, {address: \"[0:0::1]:80\"}, {address: \"A:80\"}, {address: "
       "\"a:80\"}]\n",
        "f:2:33: listen[1]: has the address of listen[0]: take one of them out\n"
        "f:2:78: listen[3]: has the address of listen[2]: take one of them out\n"},
    {LISTEN "tls: {certificates: {cert: a, key: b}, ktls: on}\n",
        "f:4:50: listen[0].tls.ktls: \"on\" is not one of its words: write auto or off\n"},

    /* ---- listen: who stands in front */
    {LISTEN "proxy_protocol: on\n",
        "f:4:21: listen[0].proxy_protocol: \"on\" is not one of its words: write off or require\n"},
    {LISTEN "proxy_protocol: require\n",
        "f:4:5: listen[0].proxy_protocol: needs trusted_proxies: write trusted_proxies: [10.0.0.5], the "
        "addresses that the proxies connect from\n"},
    {LISTEN "proxy_protocol: require\n    trusted_proxies: \"unix:\"\n",
        "f:4:5: listen[0].proxy_protocol: needs trusted_proxies: write trusted_proxies: [10.0.0.5], the "
        "addresses that the proxies connect from\n"},
    {LISTEN "proxy_protocol: require\n    trusted_proxie: 10.0.0.5\n",
        "f:5:5: listen[0].trusted_proxie: unknown key (did you mean \"trusted_proxies\"?)\n"},
    {R "listen: {address: unix:/run/s, proxy_protocol: require, trusted_proxies: 10.0.0.5}\n",
        "f:2:32: listen.proxy_protocol: needs trusted_proxies: write trusted_proxies: \"unix:\", for all "
        "that "
        "connect through this socket\n"},
    {R "listen: {address: fd:a, proxy_protocol: require}\n",
        "f:2:25: listen.proxy_protocol: needs trusted_proxies: write trusted_proxies: [10.0.0.5], the "
        "addresses that the proxies connect from\n"},
    {R "listen: [{address: fd:a, proxy_protocol: require, trusted_proxies: 10.0.0.5}, {address: fd:b, "
       "proxy_protocol: require, trusted_proxies: \"unix:\"}]\n",
        ""},
    {LISTEN "trusted_proxies: any\n",
        "f:4:22: listen[0].trusted_proxies: \"any\" is not a network: write the addresses that the proxies "
        "connect from, such as 10.0.0.5\n"},
    {LISTEN "trusted_proxies: [unix, \"unix:/run/s\", 10.0.0.1/8, []]\n",
        "f:4:23: listen[0].trusted_proxies[0]: \"unix\" has no colon: write \"unix:\" for all that connect "
        "through a unix socket\n"
        "f:4:29: listen[0].trusted_proxies[1]: has a path: write \"unix:\" alone, for all that connect "
        "through a unix socket\n"
        "f:4:44: listen[0].trusted_proxies[2]: \"10.0.0.1/8\" has bits set behind its prefix: write the "
        "network's first address, as in 10.1.0.0/16\n"
        "f:4:56: listen[0].trusted_proxies[3]: has to be one value, not a list\n"},
    {LISTEN "trusted_proxies: []\n",
        "f:4:22: listen[0].trusted_proxies: is an empty list: write one value or "
        "more, or take the key out\n"},

    /* ---- timeouts and limits */
    {BOTH "timeouts: {drain: 0s}\n",
        "f:3:19: timeouts.drain: is too little: the least is 1ms, and \"off\" goes without\n"},
    {BOTH "limits: {sessions_per_client: 0}\n",
        "f:3:31: limits.sessions_per_client: is too little: the least is 1, and \"off\" sets no limit\n"},
    {BOTH "limits: {new_sessions_per_client: 10}\n", "f:3:35: limits.new_sessions_per_client: \"10\" has no "
                                                     "time: write it as in 10/s, 100/m or 1000/h, or "
                                                     "off\n"},
    {BOTH "limits: {new_sessions_per_client: 10/d}\n",
        "f:3:35: limits.new_sessions_per_client: \"10/d\" is not a rate: write a whole number and its time, "
        "as in 10/s, 100/m or 1000/h, or off\n"},
    {BOTH "limits: {new_sessions_per_client: 1.5/s}\n",
        "f:3:35: limits.new_sessions_per_client: \"1.5/s\" is not a rate: write a whole number and its time, "
        "as in 10/s, 100/m or 1000/h, or off\n"},
    {BOTH "limits: {new_sessions_per_client: /s}\n",
        "f:3:35: limits.new_sessions_per_client: \"/s\" is not a rate: write a whole number and its time, as "
        "in 10/s, 100/m or 1000/h, or off\n"},
    {BOTH "limits: {new_sessions_per_client: 0/s}\n",
        "f:3:35: limits.new_sessions_per_client: is too little: the least is 1, and \"off\" sets no limit\n"},
    {BOTH "limits: {new_sessions_per_client: 1000001/h}\n",
        "f:3:35: limits.new_sessions_per_client: is too much: the most is 1000000, and \"off\" sets no "
        "limit\n"},
    {BOTH "limits: {new_sessions_per_client: 99999999999999999999/h}\n",
        "f:3:35: limits.new_sessions_per_client: is too much: the most is 1000000, and \"off\" sets no "
        "limit\n"},
    {BOTH "limits: {rate: 1MiB}\n",
        "f:3:16: limits.rate: has to be a mapping; the keys here are up and down\n"},
    {BOTH "limits: {rate: {up: 1023B, down: 0B}}\n",
        "f:3:21: limits.rate.up: is too little: the least is 1KiB, and \"off\" goes without\n"
        "f:3:34: limits.rate.down: is too little: the least is 1KiB, and \"off\" goes without\n"},
    {BOTH "limits: {rate: {up: 1MB}}\n",
        "f:3:21: limits.rate.up: \"1MB\" is not a size: write a whole number "
        "and its unit, as in 512B, 16KiB or 1MiB, or off\n"},
    {ROUTE "limits: {new_sessions_per_client: 1/s, rate: {up: 1B}}\n",
        "f:4:14: routes[0].limits.new_sessions_per_client: is one limit for all routes, since it counts a "
        "client's sessions on all of them: write it under limits at the top level\n"
        "f:4:55: routes[0].limits.rate.up: is too little: the least is 1KiB, and \"off\" goes without\n"},

    /* ---- several targets */
    {L "routes: {target: [tcp://a:1, tls://a:1, tcp://A:1, \"unix:x\", \"tcp://[::1]:1\", \"unix:x\", "
       "\"tcp://[0::1]:1\"]}\n",
        "f:2:41: routes.target[2]: is the same as target[0]: take one of them out\n"
        "f:2:79: routes.target[5]: is the same as target[3]: take one of them out\n"
        "f:2:89: routes.target[6]: is the same as target[4]: take one of them out\n"},
    {L "routes: {target: [tcp://a:1, a:2, [], ~]}\n",
        "f:2:30: routes.target[1]: \"a:2\" has no scheme: write tcp://a:2\n"
        "f:2:35: routes.target[2]: has to be one value, not a list\n"
        "f:2:39: routes.target[3]: has no value: write one, or take the item out\n"},
    {L "routes: {target: [tcp://a:1, tls://b:1], target_tls: {verify: false}}\n", ""},
    {L "routes: {target: [tcp://a:1, tcp://b:1], target_tls: {verify: false}}\n",
        "f:2:42: routes.target_tls: warning: does nothing unless the target is tls://HOST:PORT\n"},
    {ROUTE "balance: random\n",
        "f:4:14: routes[0].balance: \"random\" is not one of its words: write first, round_robin or "
        "least_sessions\n"},
    {ROUTE "balance: round-robin\n",
        "f:4:14: routes[0].balance: \"round-robin\" is not first, round_robin or "
        "least_sessions (did you mean \"round_robin\"?)\n"},
    {ROUTE "connect_retry: 3\n",
        "f:4:20: routes[0].connect_retry: \"3\" is neither true nor false: write one of them\n"},
    {ROUTE "target_proxy_protocol: on\n",
        "f:4:28: routes[0].target_proxy_protocol: \"on\" is not one of its words: write off, v1 or v2\n"},
    {L "routes: {files: www, balance: first, connect_retry: true, target_proxy_protocol: v1}\n",
        "f:2:22: routes.balance: does nothing on a route with files: take it out\n"
        "f:2:38: routes.connect_retry: does nothing on a route with files: take it out\n"
        "f:2:59: routes.target_proxy_protocol: does nothing on a route with files: take it out\n"},

    /* ---- egress */
    {BOTH "egress: {allow: any}\n",
        "f:3:17: egress.allow: \"any\" is not a network: write [0.0.0.0/0, \"::/0\"] for every address\n"},
    {BOTH "egress: {deny: [10.0.0.1/8]}\n",
        "f:3:17: egress.deny[0]: \"10.0.0.1/8\" has bits set behind its prefix: write the network's first "
        "address, as in 10.1.0.0/16\n"},
    {BOTH "egress: {denny: 10.0.0.1}\n", "f:3:10: egress.denny: unknown key (did you mean \"deny\"?)\n"},
    {BOTH "egress: [10.0.0.1]\n", "f:3:9: egress: has to be a mapping; the keys here are allow and deny\n"},
    {BOTH "egress: {allow: [10.0.0.0/8, 10.0.0.1], deny: [\"::1\", 10.0.0.1]}\n",
        "f:3:47: egress.deny: has a network that allow has too: take it out of one of them\n"},
    {L "routes: {target: [tcp://10.0.0.1:1, \"tcp://[::ffff:169.254.169.254]:80\", \"tls://[fe80::1]:1\"]}\n",
        "f:2:37: routes.target[1]: \"tcp://[::ffff:169.254.169.254]:80\" is denied by egress, for it is a "
        "cloud's metadata service: write another target, or, if this one is meant, egress: {allow: "
        "\"::ffff:169.254.169.254\"} on this route\n"
        "f:2:74: routes.target[2]: \"tls://[fe80::1]:1\" is denied by egress, for it is a link-local "
        "address: write another target, or, if this one is meant, egress: {allow: \"fe80::1\"} on this "
        "route\n"},
    {L "routes: {target: tcp://169.254.169.254:80, egress: {allow: 169.254.169.254}}\n", ""},
    {L "routes: {target: tcp://10.0.0.1:80}\negress: {allow: 127.0.0.0/8}\n",
        "f:2:18: routes.target: \"tcp://10.0.0.1:80\" is denied by egress, for it is not in its allow: add "
        "it "
        "there, or write another target\n"},
    {L "routes: {target: tcp://10.0.0.1:80, egress: {deny: 10.0.0.0/8}}\n",
        "f:2:18: routes.target: \"tcp://10.0.0.1:80\" is denied by egress, for it is in its deny: add it to "
        "allow, or write another target\n"},
    {L "routes: {target: tcp://10.0.0.1:80, egress: {deny: 127.0.0.1}}\negress: {deny: 10.0.0.0/8}\n", ""},
    {L "routes: {target: [unix:/run/x, tcp://name:80]}\negress: {deny: [0.0.0.0/0, \"::/0\"]}\n", ""},
    {L "routes: {target: tcp://10.0.0.1:80}\negress: {allow: 127.0.0.0/8, deny: [x]}\n",
        "f:3:37: egress.deny[0]: \"x\" is not an address or a network: write one such as 10.0.0.0/8, "
        "192.0.2.7 or fd00::/8\n"},
    {L "routes: {files: www, egress: {}}\n",
        "f:2:22: routes.egress: does nothing on a route with files: take it out\n"},

    /* ---- log */
    {BOTH "log: {rate: 5}\n",
        "f:3:13: log.rate: \"5\" has no time: write it as in 10/s, 100/m or 1000/h, or off\n"},
    {BOTH "log: {output: sislog}\n", "f:3:15: log.output: \"sislog\" is neither stderr, syslog nor a file: "
                                     "write a file with a slash, such as ./sislog\n"},

    /* ---- admin */
    {BOTH "admin: {}\n", "f:3:8: admin.address: is missing: write address: 127.0.0.1:9901\n"},
    {BOTH "admin: 9901\n", "f:3:8: admin: has to be a mapping: write admin: {address: 127.0.0.1:9901}\n"},
    {BOTH "admin: unix:/run/a\n", "f:3:8: admin: has to be a mapping: write admin: {address: unix:/run/a}\n"},
    {BOTH "admin: on\n", "f:3:8: admin: has to be a mapping: write admin: {address: 127.0.0.1:9901}\n"},
    {BOTH "admin: {address: 9901}\n", "f:3:18: admin.address: is a port alone: write \":9901\" for every "
                                      "address, or 127.0.0.1:9901\n"},
    {BOTH "admin: {address: \"fd:admin\"}\n", "f:3:18: admin.address: sockets of the service manager are for "
                                              "listen alone: write an address such as "
                                              "127.0.0.1:9901, or unix:/path\n"},
    {BOTH "admin: {address: \":9901\"}\n",
        "f:3:18: admin.address: can be reached from other machines: write who may as allow: [10.0.0.0/8], or "
        "take 127.0.0.1:9901, which only this machine reaches\n"},
    {BOTH "admin: {address: \"box.example:9901\", alow: 10.0.0.0/8}\n",
        "f:3:38: admin.alow: unknown key (did you mean \"allow\"?)\n"},
    {BOTH "admin: {address: \"10.0.0.1:9901\", allow: any}\n",
        "f:3:42: admin.allow: \"any\" is not a network: write [0.0.0.0/0, \"::/0\"] to let everybody in\n"},
    {BOTH "admin: {address: \"127.9.9.9:0\"}\n", ""},
    {BOTH "admin: {address: \"[::1]:9901\"}\n", ""},
    {BOTH "admin: {address: \"LOCALHOST:9901\"}\n", ""},
    {R "listen: [{address: \":1\"}, {address: \"127.0.0.1:80\"}]\nadmin: {address: \"127.0.0.1:80\"}\n",
        "f:3:18: admin.address: is the address of listen[1]: write another\n"},
    {R "listen: [{address: unix:a}]\nadmin: {address: unix:a}\n",
        "f:3:18: admin.address: is the address of listen[0]: write another\n"},
};

static void every_fault_is_told_as_the_table_says(void **state)
{
    (void)state;
    load_rows_check(rows, sizeof rows / sizeof *rows);
}

static void there_is_a_most_of_targets(void **state)
{
    (void)state;
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    fputs(L "routes: {target: [", out);
    for (int i = 0; i < 64; i++)
        fprintf(out, "tcp://h:%d, ", i + 1);
    long end = ftell(out);
    fputs("tcp://h:65]}\n", out);
    assert_int_equal(fclose(out), 0);
    struct load_row row = {text,
        "f:2:18: routes.target: has 65 targets: write at most 64, or a name that has several addresses\n"};
    load_rows_check(&row, 1);
    strcpy(text + end, "]}\n");
    row.told = "";
    load_rows_check(&row, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_told_as_the_table_says),
        cmocka_unit_test(there_is_a_most_of_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
