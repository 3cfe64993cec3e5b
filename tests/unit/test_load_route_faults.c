/* The faults of routes, each with its place and its words. */
#include "load_rows.h"

#define L     "listen: {address: \":0\"}\n"
#define ROUTE L "routes:\n  - target: tcp://h:1\n    "

static const struct load_row rows[] = {
    /* ---- routes: what they take */
    {ROUTE "orgin: any\n", "f:4:5: routes[0].orgin: unknown key (did you mean \"origin\"?)\n"},
    {ROUTE "zzz: x\n", "f:4:5: routes[0].zzz: unknown key; the keys here are name, host, path, origin, "
                       "subprotocol, from, target, target_tls, balance, connect_retry, "
                       "target_proxy_protocol, egress, files, messages, on_unreachable, "
                       "on_client_abort, close_codes, timeouts and limits\n"},
    {"routes:\n  - target: tcp://h:1\n    listen: {address: \":0\"}\n",
        "f:3:5: routes[0].listen: unknown key here; move it to the left: it belongs to the top of the "
        "file\n"},
    {L "routes: {taget: \"tcp://h:1\"}\n", "f:2:10: routes.taget: unknown key (did you mean \"target\"?)\n"},
    {L "routes: {file: www}\n", "f:2:10: routes.file: unknown key (did you mean \"files\"?)\n"},
    {ROUTE "name: \"\"\n", "f:4:11: routes[0].name: is empty: write a value, or take the key out\n"},
    {ROUTE "name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
        "f:4:11: routes[0].name: is too long: at most 64 bytes\n"},
    {L "routes: [{name: a, target: unix:x}, {name: b, target: unix:x}, {name: a, target: unix:x}]\n",
        "f:2:64: routes[2]: has the name of routes[0], \"a\": names tell routes apart, so write another\n"},
    {L "routes: [{name: \"routes[1]\", target: unix:x}, {target: unix:x}]\n",
        "f:2:47: routes[1]: has the name of routes[0], \"routes[1]\": names tell routes apart, so write "
        "another\n"},
    {ROUTE "host: []\n",
        "f:4:11: routes[0].host: is an empty list: write one value or more, or take the key out\n"},
    {ROUTE "host: a.b:80\n", "f:4:11: routes[0].host: \"a.b:80\" has a port: write the host alone; every "
                             "port of a listener is taken\n"},
    {ROUTE "host: http://a.b\n", "f:4:11: routes[0].host: \"http://a.b\" has a scheme: write the host alone, "
                                 "such as desk.example.com\n"},
    {ROUTE "host: a.b/c\n",
        "f:4:11: routes[0].host: \"a.b/c\" has a path: write the host alone, and the path as path\n"},
    {ROUTE "host: ::1\n",
        "f:4:11: routes[0].host: \"::1\" is an IPv6 address: write it in brackets, as in a URL: \"[::1]\"\n"},
    {ROUTE "host: \"*\"\n",
        "f:4:11: routes[0].host: \"*\" is not a host: to take every host, leave the key out\n"},
    {ROUTE "host: any\n",
        "f:4:11: routes[0].host: \"any\" is not a host: to take every host, leave the key out\n"},
    {ROUTE "host: a.*.b\n", "f:4:11: routes[0].host: \"a.*.b\" has a star where none can be: write one in "
                            "front, as in \"*.example.com\"\n"},
    {ROUTE "host: \"*.*.b\"\n", "f:4:11: routes[0].host: \"*.*.b\" has a star where none can be: write one "
                                "in front, as in \"*.example.com\"\n"},
    {ROUTE "host: \"*.10.0.0.1\"\n", "f:4:11: routes[0].host: \"*.10.0.0.1\" has a star where none can be: "
                                     "write one in front, as in \"*.example.com\"\n"},
    {ROUTE "host: \"*.[::1]\"\n", "f:4:11: routes[0].host: \"*.[::1]\" has a star where none can be: write "
                                  "one in front, as in \"*.example.com\"\n"},
    {ROUTE "host: a b\n", "f:4:11: routes[0].host: \"a b\" is not a host: write a name or an address, such "
                          "as desk.example.com\n"},
    {ROUTE "host: a..b\n", "f:4:11: routes[0].host: \"a..b\" is not a host: write a name or an address, such "
                           "as desk.example.com\n"},
    {ROUTE "host: \"*.\"\n", "f:4:11: routes[0].host: \"*.\" has a star where none can be: write one in "
                             "front, as in \"*.example.com\"\n"},
    {ROUTE "host: 10.0.0.256\n", "f:4:11: routes[0].host: \"10.0.0.256\" is not a host: write a name or an "
                                 "address, such as desk.example.com\n"},
    {ROUTE "host: {a: b}\n", "f:4:11: routes[0].host: has to be one value, not a mapping\n"},
    {ROUTE "host: [a, [b]]\n", "f:4:15: routes[0].host[1]: has to be one value, not a list\n"},
    {ROUTE "host: [a, ~]\n", "f:4:15: routes[0].host[1]: has no value: write one, or take the item out\n"},
    {ROUTE "host: *.a.b\n",
        "f:4:11: bad YAML: a text that starts with a star has to be in quotes, as in \"*.example.com\"\n"},
    {ROUTE "path: vnc\n",
        "f:4:11: routes[0].path: \"vnc\" does not start with a slash: write a path such as /vnc or /vnc/*\n"},
    {ROUTE "path: /a*\n", "f:4:11: routes[0].path: \"/a*\" has a star where none can be: write it last, "
                          "behind a slash, as in /vnc/*\n"},
    {ROUTE "path: /*/a\n", "f:4:11: routes[0].path: \"/*/a\" has a star where none can be: write it last, "
                           "behind a slash, as in /vnc/*\n"},
    {ROUTE "path: /a/**\n", "f:4:11: routes[0].path: \"/a/**\" has a star where none can be: write it last, "
                            "behind a slash, as in /vnc/*\n"},
    {ROUTE "path: /a?b\n",
        "f:4:11: routes[0].path: \"/a?b\" has a query, which is never compared: write the path alone\n"},
    {ROUTE "path: /a%20b\n", "f:4:11: routes[0].path: \"/a%20b\" has an escape, but paths are compared "
                             "decoded: write the character itself\n"},
    {ROUTE "path: \"\"\n", "f:4:11: routes[0].path: is empty: write a value, or take the key out\n"},
    {ROUTE "origin: self\n", "f:4:13: routes[0].origin: \"self\" is not an origin: write same, any, none or "
                             "one such as https://www.example.com\n"},
    {ROUTE "origin: \"*\"\n",
        "f:4:13: routes[0].origin: \"*\" is not an origin: write any to take every one\n"},
    {ROUTE "origin: a.example\n",
        "f:4:13: routes[0].origin: \"a.example\" has no scheme: write https://a.example\n"},
    {ROUTE "origin: https://a.example/\n", "f:4:13: routes[0].origin: \"https://a.example/\" has a path, but "
                                           "an Origin has none: write https://a.example\n"},
    {ROUTE "origin: https://a.example/x\n", "f:4:13: routes[0].origin: \"https://a.example/x\" has a path, "
                                            "but an Origin has none: write https://a.example\n"},
    {ROUTE "origin: https://\n", "f:4:13: routes[0].origin: \"https://\" has no good host: write an origin "
                                 "such as https://www.example.com\n"},
    {ROUTE "origin: https://a:0\n", "f:4:13: routes[0].origin: \"https://a:0\" has a bad port: write 1 to "
                                    "65535, or none for the scheme's own\n"},
    {ROUTE "origin: https://a:x\n", "f:4:13: routes[0].origin: \"https://a:x\" has a bad port: write 1 to "
                                    "65535, or none for the scheme's own\n"},
    {ROUTE "origin: https://a.*.b\n", "f:4:13: routes[0].origin: \"https://a.*.b\" has a star where none can "
                                      "be: write one in front, as in https://*.example.com\n"},
    {ROUTE "origin: https://*\n", "f:4:13: routes[0].origin: \"https://*\" has a star where none can be: "
                                  "write one in front, as in https://*.example.com\n"},
    {ROUTE "origin: https://*.10.0.0.1\n", "f:4:13: routes[0].origin: \"https://*.10.0.0.1\" has no good "
                                           "host: write an origin such as https://www.example.com\n"},
    {ROUTE "origin: ftp://a\n", "f:4:13: routes[0].origin: \"ftp://a\" has another scheme than http and "
                                "https, which browsers never send\n"},
    {ROUTE "origin: https://u@a\n", "f:4:13: routes[0].origin: \"https://u@a\" has no good host: write an "
                                    "origin such as https://www.example.com\n"},
    {ROUTE "origin: https://[::1\n", "f:4:13: routes[0].origin: \"https://[::1\" has no good host: write an "
                                     "origin such as https://www.example.com\n"},
    {ROUTE "origin: https://::1\n", "f:4:13: routes[0].origin: \"https://::1\" has a bad port: write 1 to "
                                    "65535, or none for the scheme's own\n"},
    {ROUTE "origin: \"null\"\n", "f:4:13: routes[0].origin: \"null\" is not an origin: write same, any, none "
                                 "or one such as https://www.example.com\n"},
    {ROUTE "origin: null\n", "f:4:5: routes[0].origin: has no value: write one, or take the key out\n"},
    {ROUTE "subprotocol: binary base64\n",
        "f:4:18: routes[0].subprotocol: \"binary base64\" is not a subprotocol: write any, none or a name of "
        "letters, digits and -._~ without spaces, several as a list\n"},
    {ROUTE "subprotocol: \"binary,base64\"\n",
        "f:4:18: routes[0].subprotocol: \"binary,base64\" is not a subprotocol: write any, none or a name of "
        "letters, digits and -._~ without spaces, several as a list\n"},
    {ROUTE "subprotocol: \"*\"\n",
        "f:4:18: routes[0].subprotocol: \"*\" is not a subprotocol: write any to take every one\n"},
    {ROUTE "subprotocol: \"a/b\"\n",
        "f:4:18: routes[0].subprotocol: \"a/b\" is not a subprotocol: write any, none or a name of letters, "
        "digits and -._~ without spaces, several as a list\n"},
    {ROUTE "subprotocol: \"über\"\n",
        "f:4:18: routes[0].subprotocol: \"über\" is not a subprotocol: write any, none or a name of letters, "
        "digits and -._~ without spaces, several as a list\n"},
    {ROUTE "from: any\n",
        "f:4:11: routes[0].from: \"any\" is not a network: to take every client, leave the key out\n"},
    {ROUTE "from: localhost\n", "f:4:11: routes[0].from: \"localhost\" is not an address or a network: write "
                                "one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8\n"},
    {ROUTE "from: 10.0.0.0/33\n", "f:4:11: routes[0].from: \"10.0.0.0/33\" has a bad prefix: write 0 to 32 "
                                  "behind the slash of an IPv4 network\n"},
    {ROUTE "from: 10.0.0.1/8\n", "f:4:11: routes[0].from: \"10.0.0.1/8\" has bits set behind its prefix: "
                                 "write the network's first address, as in 10.1.0.0/16\n"},
    {ROUTE "from: [10.0.0.0/8, fd00::/129]\n", "f:4:24: routes[0].from[1]: \"fd00::/129\" has a bad prefix: "
                                               "write 0 to 128 behind the slash of an IPv6 network\n"},
    {ROUTE "from: 10.0.0\n", "f:4:11: routes[0].from: \"10.0.0\" is not an address or a network: write one "
                             "such as 10.0.0.0/8, 192.0.2.7 or fd00::/8\n"},

    /* ---- routes: what they give */
    {L "routes: {target: \"h:1\"}\n", "f:2:18: routes.target: \"h:1\" has no scheme: write tcp://h:1\n"},
    {L "routes: {target: \"h\"}\n", "f:2:18: routes.target: \"h\" is not a target: write tcp://HOST:PORT, "
                                    "tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"http://h:1\"}\n", "f:2:18: routes.target: \"http://h:1\" is not a target: write "
                                             "tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"tcp://h\"}\n", "f:2:18: routes.target: \"tcp://h\" has no port: write "
                                          "tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"tcp://:1\"}\n",
        "f:2:18: routes.target: \"tcp://:1\" has no host: write the one to connect to, such as 127.0.0.1\n"},
    {L "routes: {target: \"tcp://h:0\"}\n",
        "f:2:18: routes.target: \"tcp://h:0\" has port 0, to which nothing connects: write 1 to 65535\n"},
    {L "routes: {target: \"tcp://h:65536\"}\n", "f:2:18: routes.target: \"tcp://h:65536\" has a bad port: "
                                                "write tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"tcp://h:1/x\"}\n", "f:2:18: routes.target: \"tcp://h:1/x\" has a path, but a "
                                              "target is a host and a port: take the path out\n"},
    {L "routes: {target: \"tcp://u@h:1\"}\n",
        "f:2:18: routes.target: \"tcp://u@h:1\" has a host that is neither a name nor an address: write "
        "tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"tcp://::1:5\"}\n", "f:2:18: routes.target: \"tcp://::1:5\" has no port: write "
                                              "tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"tls://unix:/x\"}\n", "f:2:18: routes.target: \"tls://unix:/x\" has a path, but a "
                                                "target is a host and a port: take the path out\n"},
    {L "routes: {target: \"unix:\"}\n",
        "f:2:18: routes.target: \"unix:\" has no path: write unix:/path/to/socket\n"},
    {L "routes: {target: \"unix:///x\"}\n", "f:2:18: routes.target: \"unix:///x\" has slashes that do not "
                                            "belong there: write unix:/path/to/socket\n"},
    {L "routes: {target: []}\n",
        "f:2:18: routes.target: is an empty list: write one value or more, or take the key out\n"},
    {L "routes: {target: \"[tcp://a:1, tcp://b:1]\"}\n",
        "f:2:18: routes.target: \"[tcp://a:1, tcp://b:1]\" is not a target: write tcp://HOST:PORT, "
        "tls://HOST:PORT or unix:/path\n"},
    {L "routes: {target: \"TCP://h:1\"}\n", "f:2:18: routes.target: \"TCP://h:1\" is not a target: write "
                                            "tcp://HOST:PORT, tls://HOST:PORT or unix:/path\n"},
    {L "routes: {path: /}\n",
        "f:2:9: routes: has neither target nor files: write one, such as target: tcp://127.0.0.1:5900\n"},
    {L "routes: {target: \"tcp://h:1\", files: www}\n",
        "f:2:31: routes.files: does not go with target: a route has one of them, so write two routes\n"},
    {L "routes: {files: www, origin: any, subprotocol: any, messages: text, timeouts: {idle: 1s}, limits: "
       "{sessions: 1}, close_codes: {idle: 1000}, on_unreachable: http, on_client_abort: fin, target_tls: "
       "{verify: false}}\n",
        "f:2:22: routes.origin: does nothing on a route with files: take it out\n"
        "f:2:35: routes.subprotocol: does nothing on a route with files: take it out\n"
        "f:2:53: routes.messages: does nothing on a route with files: take it out\n"
        "f:2:69: routes.timeouts: does nothing on a route with files: take it out\n"
        "f:2:91: routes.limits: does nothing on a route with files: take it out\n"
        "f:2:114: routes.close_codes: does nothing on a route with files: take it out\n"
        "f:2:141: routes.on_unreachable: does nothing on a route with files: take it out\n"
        "f:2:163: routes.on_client_abort: does nothing on a route with files: take it out\n"
        "f:2:185: routes.target_tls: does nothing on a route with files: take it out\n"},
    {L "routes: {files: \"\", path: /x}\n",
        "f:2:17: routes.files: is empty: write a value, or take the key out\n"},
    {ROUTE "target_tls: {verify: false}\n",
        "f:4:5: routes[0].target_tls: warning: does nothing unless the target is tls://HOST:PORT\n"},
    {L "routes: {target: \"unix:x\", target_tls: {}}\n",
        "f:2:28: routes.target_tls: warning: does nothing unless the target is tls://HOST:PORT\n"},
    {L "routes: {target: [tcp://a:1]}\n", ""},
    {L "routes: {target: \"tls://h:1\", target_tls: {verify: no}}\n",
        "f:2:52: routes.target_tls.verify: \"no\" is neither true nor false: write one of them\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {verify: \"true\"}}\n",
        "f:2:52: routes.target_tls.verify: is a text: write true without quotes\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {cert: a}}\n",
        "f:2:44: routes.target_tls.cert: needs key: write key: FILE, the certificate's private key\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {key: a}}\n",
        "f:2:44: routes.target_tls.key: needs cert: write cert: FILE, the certificate of that key\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {server_name: \"a b\"}}\n",
        "f:2:57: routes.target_tls.server_name: \"a b\" is not a host name: write the name in the target's "
        "certificate\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {server_name: \"[::1]\"}}\n",
        "f:2:57: routes.target_tls.server_name: \"[::1]\" is not a host name: write the name in the target's "
        "certificate\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {server_name: \"a:443\"}}\n",
        "f:2:57: routes.target_tls.server_name: \"a:443\" is not a host name: write the name in the target's "
        "certificate\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: {sni: x}}\n",
        "f:2:44: routes.target_tls.sni: unknown key; the keys here are ca, server_name, verify, cert and "
        "key\n"},
    {L "routes: {target: \"tls://h:1\", target_tls: on}\n",
        "f:2:43: routes.target_tls: has to be a mapping; the keys here are ca, server_name, verify, cert and "
        "key\n"},
    {ROUTE "messages: binry\n",
        "f:4:15: routes[0].messages: \"binry\" is not binary, text or any (did you mean \"binary\"?)\n"},
    {ROUTE "messages: both\n",
        "f:4:15: routes[0].messages: \"both\" is not one of its words: write binary, text or any\n"},
    {ROUTE "on_unreachable: 502\n",
        "f:4:21: routes[0].on_unreachable: \"502\" is not one of its words: write close or http\n"},
    {ROUTE "on_client_abort: rst\n",
        "f:4:22: routes[0].on_client_abort: \"rst\" is not one of its words: write fin or reset\n"},
    {ROUTE "close_codes: {target_eof: 1005}\n",
        "f:4:31: routes[0].close_codes.target_eof: 1005 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 1006}\n",
        "f:4:31: routes[0].close_codes.target_eof: 1006 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 1015}\n",
        "f:4:31: routes[0].close_codes.target_eof: 1015 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 999}\n",
        "f:4:31: routes[0].close_codes.target_eof: 999 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 2999}\n",
        "f:4:31: routes[0].close_codes.target_eof: 2999 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 5000}\n",
        "f:4:31: routes[0].close_codes.target_eof: 5000 may not be sent (RFC 6455 7.4): write 1000 to 1003, "
        "1007 to 1014 or 3000 to 4999\n"},
    {ROUTE "close_codes: {target_eof: 70000}\n",
        "f:4:31: routes[0].close_codes.target_eof: \"70000\" is not a Close code, such as 1000 or 4000\n"},
    {ROUTE "close_codes: {target_eof: \"1000\"}\n",
        "f:4:31: routes[0].close_codes.target_eof: is a text: write 1000 without quotes\n"},
    {ROUTE "close_codes: {target_eof: ok}\n",
        "f:4:31: routes[0].close_codes.target_eof: \"ok\" is not a Close code, such as 1000 or 4000\n"},
    {ROUTE "close_codes: {client_close: 1000}\n",
        "f:4:19: routes[0].close_codes.client_close: has no code of its own: the client's is sent back (RFC "
        "6455 5.5.1); take it out\n"},
    {ROUTE "close_codes: {client_gone: 1000}\n", "f:4:19: routes[0].close_codes.client_gone: has no code: "
                                                 "the client has left and nothing is sent; take it out\n"},
    {ROUTE "close_codes: {target_end: 1000}\n",
        "f:4:19: routes[0].close_codes.target_end: unknown key (did you mean \"target_eof\"?)\n"},
    {ROUTE "close_codes: {idle_timeout: 1000}\n",
        "f:4:19: routes[0].close_codes.idle_timeout: unknown key; the keys here are client_timeout, "
        "bad_frame, bad_utf8, bad_message_type, message_too_big, target_eof, target_reset, target_refused, "
        "target_unreachable, target_timeout, target_dns, target_tls, idle, session_limit, target_not_text, "
        "drain, overload, revoked, killed and internal\n"},

    /* ---- timeouts, limits in routes */
    {ROUTE "timeouts: {handshake: 1s, drain: 1s, connect: off, ping: 0s}\n",
        "f:4:16: routes[0].timeouts.handshake: is one limit for all routes, since it runs before the route "
        "is known: write it under timeouts at the top level\n"
        "f:4:31: routes[0].timeouts.drain: is one time for all sessions, since it is the gateway that ends: "
        "write it under timeouts at the top level\n"
        "f:4:51: routes[0].timeouts.connect: cannot be off: write a duration such as 10s\n"
        "f:4:62: routes[0].timeouts.ping: is too little: the least is 1ms, and \"off\" goes without\n"},
    {ROUTE "limits: {request: 1KiB, sessions_per_client: 1, sessions: 0, buffer: 1KiB}\n",
        "f:4:14: routes[0].limits.request: is one limit for all routes, since it is read before the route is "
        "known: write it under limits at the top level\n"
        "f:4:29: routes[0].limits.sessions_per_client: is one limit for all routes, since it counts a "
        "client's "
        "sessions on all of them: write it under limits at the top level\n"
        "f:4:63: routes[0].limits.sessions: is too little: the least is 1, and \"off\" sets no limit\n"
        "f:4:74: routes[0].limits.buffer: is too little: the least is 4KiB\n"},
};

static void every_fault_is_told_as_the_table_says(void **state)
{
    (void)state;
    load_rows_check(rows, sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_told_as_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
