/* The faults of a configuration, each with its place and its words: all but those of routes. */
#include "load_rows.h"

#define L      "listen: {address: \":0\"}\n"
#define R      "routes: {target: \"tcp://h:1\"}\n"
#define BOTH   L R
#define TOP    "workers, user, sandbox, poller, listen, timeouts, limits, egress, routes, log, reload and admin"
#define LISTEN R "listen:\n  - address: \":0\"\n    "

static const struct load_row rows[] = {
    /* ---- The file as a whole */
    {"", "f:1:1: nothing is in it: see sluice.yaml(5) for what to write\n"},
    {"# nothing\n", "f:1:1: nothing is in it: see sluice.yaml(5) for what to write\n"},
    {"listen", "f:1:1: has to be a mapping; the keys here are " TOP "\n"},
    {"- listen\n", "f:1:1: has to be a mapping; the keys here are " TOP "\n"},
    {"{}", "f:1:1: listen: is missing: write listen: {address: 127.0.0.1:8080}\n"
           "f:1:1: routes: is missing: write routes: {target: tcp://127.0.0.1:5900}\n"},
    {L, "f:1:1: routes: is missing: write routes: {target: tcp://127.0.0.1:5900}\n"},
    {R, "f:1:1: listen: is missing: write listen: {address: 127.0.0.1:8080}\n"},
    {"listen:\nroutes:\n", "f:1:1: listen: has no value: write listen: {address: 127.0.0.1:8080}\n"
                           "f:2:1: routes: has no value: write routes: {target: tcp://127.0.0.1:5900}\n"},
    {"listen: []\nroutes: []\n",
        "f:1:9: listen: is an empty list: write listen: {address: 127.0.0.1:8080}\n"
        "f:2:9: routes: is an empty list: write routes: {target: tcp://127.0.0.1:5900}\n"},
    {"listen: 8080\nroutes: tcp://h:1\n",
        "f:1:9: listen: has to be a mapping: write listen: {address: \":8080\"}\n"
        "f:2:9: routes: has to be a mapping: write routes: {target: tcp://h:1}\n"},
    {"listen: 127.0.0.1:8080\nroutes: h:1\n",
        "f:1:9: listen: has to be a mapping: write listen: {address: 127.0.0.1:8080}\n"
        "f:2:9: routes: has to be a mapping: write routes: {target: tcp://h:1}\n"},
    {"listen: \"[::1]:80\"\nroutes: \"[::1]:1\"\n",
        "f:1:9: listen: has to be a mapping: write listen: {address: \"[::1]:80\"}\n"
        "f:2:9: routes: has to be a mapping: write routes: {target: \"tcp://[::1]:1\"}\n"},
    {"listen: :80\nroutes: /srv/www\n",
        "f:1:9: listen: has to be a mapping: write listen: {address: \":80\"}\n"
        "f:2:9: routes: has to be a mapping: write routes: {target: tcp://127.0.0.1:5900}\n"},
    {"listen: [yes, unix:/run/s]\nroutes: [unix:/x, ftp://h:1]\n",
        "f:1:10: listen[0]: has to be a mapping: write {address: 127.0.0.1:8080}\n"
        "f:1:15: listen[1]: has to be a mapping: write {address: unix:/run/s}\n"
        "f:2:10: routes[0]: has to be a mapping: write {target: unix:/x}\n"
        "f:2:19: routes[1]: has to be a mapping: write {target: tcp://127.0.0.1:5900}\n"},
    {"listen: [[]]\n" R, "f:1:10: listen[0]: has to be a mapping; the keys here are address, mode, "
                         "tls, proxy_protocol and trusted_proxies\n"},
    {"listen: [8080, {}]\nroutes: [{}, ~, x]\n",
        "f:1:10: listen[0]: has to be a mapping: write {address: \":8080\"}\n"
        "f:1:16: listen[1].address: is missing: write address: HOST:PORT, [V6]:PORT, :PORT, unix:/path or "
        "fd:NAME\n"
        "f:2:10: routes[0]: has neither target nor files: write one, such as target: tcp://127.0.0.1:5900\n"
        "f:2:14: routes[1]: has no value: write one, or take the item out\n"
        "f:2:17: routes[2]: has to be a mapping: write {target: tcp://127.0.0.1:5900}\n"},
    {BOTH "lisen: x\n", "f:3:1: lisen: unknown key (did you mean \"listen\"?)\n"},
    {L "route: {target: \"tcp://h:1\"}\n", "f:2:1: route: unknown key (did you mean \"routes\"?)\n"},
    {R "listne: {address: \":0\"}\n", "f:2:1: listne: unknown key (did you mean \"listen\"?)\n"},
    {BOTH "route: {target: \"tcp://h:1\"}\n", "f:3:1: route: unknown key (did you mean \"routes\"?)\n"},
    {"listen:\n  address: \":0\"\n  routes: {target: \"tcp://h:1\"}\n",
        "f:3:3: listen.routes: unknown key here; move it to the left: it belongs to the top of the file\n"},
    {"listen:\n  - address: \":0\"\n    routes: {target: \"tcp://h:1\"}\n",
        "f:3:5: listen[0].routes: unknown key here; move it to the left: it belongs to the top of the "
        "file\n"},
    {LISTEN "tls: {limits: {}}\n",
        "f:4:10: listen[0].tls.certificates: is missing: write certificates: {cert: FILE, key: FILE}\n"
        "f:4:11: listen[0].tls.limits: unknown key here; move it to the left: it belongs to the top of the "
        "file\n"},
    {BOTH "log: {workers: 2}\n",
        "f:3:7: log.workers: unknown key here; move it to the left: it belongs to the top of the file\n"},
    {BOTH "Poller: poll\n", "f:3:1: Poller: unknown key (did you mean \"poller\"?)\n"},
    {BOTH "zzz: 1\n", "f:3:1: zzz: unknown key; the keys here are " TOP "\n"},
    {BOTH "\"a\\nb\": 1\n", "f:3:1: a?b: unknown key; the keys here are " TOP "\n"},
    {BOTH "routes: {}\n",
        "f:3:1: routes: is repeated: it stands at line 2 already, so take one of them out\n"},
    {BOTH "poller: kqueue\n",
        "f:3:9: poller: \"kqueue\" is not one of its words: write auto, poll or epoll\n"},
    {BOTH "poller: epol\n", "f:3:9: poller: \"epol\" is not auto, poll or epoll (did you mean \"epoll\"?)\n"},
    {BOTH "poller: [poll]\n", "f:3:9: poller: has to be one value, not a list\n"},
    {BOTH "poller: \"\"\n", "f:3:9: poller: is empty: write a value, or take the key out\n"},
    {BOTH "poller: \"a\\tb\"\n", "f:3:9: poller: has a control character (0x09) in it: take it out\n"},

    /* ---- listen */
    {R "listen: {address: \"*:80\"}\n",
        "f:2:19: listen.address: \"*:80\" has a star for its host: write :PORT for every address\n"},
    {R "listen: {address: 8080}\n",
        "f:2:19: listen.address: is a port alone: write \":8080\" for every address, or 127.0.0.1:8080\n"},
    {R "listen: {address: 99999}\n", "f:2:19: listen.address: \"99999\" is no port: a port is 0 to 65535\n"},
    {R "listen: {address: unix:/run/s, mode: 0888}\n",
        "f:2:38: listen.mode: \"0888\" is no mode of a file: write mode: \"0660\"\n"},
    {R "listen: {address: unix:/run/s, mode: 0555}\n",
        "f:2:38: listen.mode: \"0555\" lets nobody connect, which takes permission to write: write mode: "
        "\"0660\"\n"},
    {R "listen: {address: \":80\", mode: 0660}\n",
        "f:2:26: listen.mode: is for the file of a unix socket, and this address has none: leave it out\n"},
    {R "listen: {address: fd:web, mode: 0660}\n",
        "f:2:27: listen.mode: is the service manager's to set (SocketMode=): leave it out\n"},
    {R "listen: {adress: \":80\"}\n", "f:2:10: listen.adress: unknown key (did you mean \"address\"?)\n"},
    {R "listen: {address: \"ws://:80\"}\n",
        "f:2:19: listen.address: \"ws://:80\" has a scheme, which does not belong here: write HOST:PORT\n"},
    {R "listen: {address: \":65536\"}\n", "f:2:19: listen.address: \":65536\" has a bad port: write a number "
                                          "from 0 to 65535 behind the colon\n"},
    {R "listen: {address: \"::1\"}\n", "f:2:19: listen.address: \"::1\" has no port: write an IPv6 address "
                                       "in brackets and its port, as in [::1]:8080\n"},
    {R "listen: {address: \"unix:\"}\n",
        "f:2:19: listen.address: \"unix:\" has no path: write unix:/path/to/socket\n"},
    {R "listen: {address: \"unix:///run/x\"}\n", "f:2:19: listen.address: \"unix:///run/x\" has slashes that "
                                                 "do not belong there: write unix:/path/to/socket\n"},
    {R "listen: [{address: \":80\"}, {address: \":80\"}, {address: \":81\"}, {address: \":0\"}, {address: "
       "\":0\"}]\n",
        "f:2:28: listen[1]: has the address of listen[0]: take one of them out\n"},
    {R "listen: [{address: unix:a}, {address: unix:a}]\n",
        "f:2:29: listen[1]: has the address of listen[0]: take one of them out\n"},
    {LISTEN "tls: on\n", "f:4:10: listen[0].tls: has to be a mapping; the keys here are certificates, "
                         "min_version, client_ca, client_auth and ktls\n"},
    {LISTEN "tls: {}\n",
        "f:4:10: listen[0].tls.certificates: is missing: write certificates: {cert: FILE, key: FILE}\n"},
    {LISTEN "tls: {certificates: []}\n", "f:4:25: listen[0].tls.certificates: is an empty list: write "
                                         "certificates: {cert: FILE, key: FILE}\n"},
    {LISTEN "tls: {certificates: {cert: a}}\n", "f:4:25: listen[0].tls.certificates.key: is missing: write "
                                                "key: FILE, the certificate's private key in PEM\n"},
    {LISTEN "tls: {certificates: [{key: a}, {cert: a, key: ~}]}\n",
        "f:4:26: listen[0].tls.certificates[0].cert: is missing: write cert: FILE, the certificate and its "
        "chain in PEM\n"
        "f:4:46: listen[0].tls.certificates[1].key: has no value: write key: FILE, the certificate's private "
        "key in PEM\n"},
    {LISTEN "tls: {certificates: server.pem}\n",
        "f:4:25: listen[0].tls.certificates: has to be a mapping; the keys here are cert and key\n"},
    {LISTEN "tls: {certificate: {cert: a, key: b}}\n",
        "f:4:11: listen[0].tls.certificate: unknown key (did you mean \"certificates\"?)\n"},
    {LISTEN "tls: {certificates: {cert: a, key: b}, min_version: 1.1}\n",
        "f:4:57: listen[0].tls.min_version: \"1.1\" is not 1.2 or 1.3 (did you mean \"1.2\"?)\n"},
    {LISTEN "tls: {certificates: {cert: a, key: b}, min_version: TLSv1.3}\n",
        "f:4:57: listen[0].tls.min_version: \"TLSv1.3\" is not one of its words: write 1.2 or 1.3\n"},
    {LISTEN "tls: {certificates: {cert: a, key: b}, client_auth: require}\n",
        "f:4:44: listen[0].tls.client_auth: needs client_ca: write client_ca: FILE, the CA that clients are "
        "asked for\n"},
    {LISTEN "tls: {certificates: {cert: a, key: b}, client_ca: c, client_auth: none}\n",
        "f:4:71: listen[0].tls.client_auth: \"none\" is not one of its words: write require or optional\n"},
    {LISTEN "tls: {certificates: {cert: ~/a, key: \"~/b\"}}\n",
        "f:4:32: listen[0].tls.certificates.cert: starts with \"~\", which only a shell understands: write "
        "the whole path\n"
        "f:4:42: listen[0].tls.certificates.key: starts with \"~\", which only a shell understands: write "
        "the whole path\n"},

    /* ---- timeouts and limits */
    {BOTH "timeouts: {idle: 10}\n",
        "f:3:18: timeouts.idle: \"10\" has no unit: write it as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: 10 s}\n", "f:3:18: timeouts.idle: \"10 s\" is not a duration: write a whole "
                                      "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: 1.5s}\n", "f:3:18: timeouts.idle: \"1.5s\" is not a duration: write a whole "
                                      "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: -1s}\n", "f:3:18: timeouts.idle: \"-1s\" is not a duration: write a whole number "
                                     "and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: 10sec}\n", "f:3:18: timeouts.idle: \"10sec\" is not a duration: write a whole "
                                       "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: 0ms}\n",
        "f:3:18: timeouts.idle: is too little: the least is 1ms, and \"off\" goes without\n"},
    {BOTH "timeouts: {idle: 0s}\n",
        "f:3:18: timeouts.idle: is too little: the least is 1ms, and \"off\" goes without\n"},
    {BOTH "timeouts: {idle: 31d}\n", "f:3:18: timeouts.idle: \"31d\" is not a duration: write a whole number "
                                     "and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: 721h}\n",
        "f:3:18: timeouts.idle: is too much: the most is 720h, and \"off\" goes without\n"},
    {BOTH "timeouts: {idle: 2592000001ms}\n",
        "f:3:18: timeouts.idle: is too much: the most is 720h, and \"off\" goes without\n"},
    {BOTH "timeouts: {idle: 99999999999999999999h}\n",
        "f:3:18: timeouts.idle: is too much: the most is 720h, and \"off\" goes without\n"},
    {BOTH "timeouts: {idle: fast}\n", "f:3:18: timeouts.idle: \"fast\" is not a duration: write a whole "
                                      "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: never}\n", "f:3:18: timeouts.idle: \"never\" is not a duration: write a whole "
                                       "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: false}\n", "f:3:18: timeouts.idle: \"false\" is not a duration: write a whole "
                                       "number and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {idle: \"\"}\n",
        "f:3:18: timeouts.idle: is empty: write a value, or take the key out\n"},
    {BOTH "timeouts: {idle: 1H}\n", "f:3:18: timeouts.idle: \"1H\" is not a duration: write a whole number "
                                    "and its unit, as in 500ms, 10s, 5m or 2h, or off\n"},
    {BOTH "timeouts: {handshake: off}\n",
        "f:3:23: timeouts.handshake: cannot be off: write a duration such as 10s\n"},
    {BOTH "timeouts: {connect: off}\n",
        "f:3:21: timeouts.connect: cannot be off: write a duration such as 10s\n"},
    {BOTH "timeouts: {close: off}\n",
        "f:3:19: timeouts.close: cannot be off: write a duration such as 10s\n"},
    {BOTH "timeouts: {conect: 1s}\n", "f:3:12: timeouts.conect: unknown key (did you mean \"connect\"?)\n"},
    {BOTH "timeouts: {handshake: 0s}\n", "f:3:23: timeouts.handshake: is too little: the least is 1ms\n"},
    {BOTH "timeouts: 10s\n", "f:3:11: timeouts: has to be a mapping; the keys here are handshake, connect, "
                             "ping, pong, idle, session, close and drain\n"},
    {BOTH "timeouts:\n", "f:3:1: timeouts: has no value: write one, or take the key out\n"},
    {BOTH "limits: {}\nlog: []\n",
        "f:4:6: log: has to be a mapping; the keys here are level, format, output and rate\n"},

    /* ---- timeouts and limits, again */
    {BOTH "limits: {sessions: 0}\n",
        "f:3:20: limits.sessions: is too little: the least is 1, and \"off\" sets no limit\n"},
    {BOTH "limits: {sessions: -1}\n",
        "f:3:20: limits.sessions: \"-1\" is not a number from 1 to 1000000000, or off\n"},
    {BOTH "limits: {sessions: \"5\"}\n", "f:3:20: limits.sessions: is a text: write 5 without quotes\n"},
    {BOTH "limits: {sessions: 5KiB}\n",
        "f:3:20: limits.sessions: \"5KiB\" is not a number from 1 to 1000000000, or off\n"},
    {BOTH "limits: {sessions: 1000000001}\n",
        "f:3:20: limits.sessions: \"1000000001\" is not a number from 1 to 1000000000, or off\n"},
    {BOTH "limits: {sessions: none}\n",
        "f:3:20: limits.sessions: \"none\" is not a number from 1 to 1000000000, or off\n"},
    {BOTH "limits: {request: 511B}\n", "f:3:19: limits.request: is too little: the least is 512B\n"},
    {BOTH "limits: {request: 2MiB}\n", "f:3:19: limits.request: is too much: the most is 1MiB\n"},
    {BOTH "limits: {request: off}\n", "f:3:19: limits.request: cannot be off: write a size such as 16KiB\n"},
    {BOTH "limits: {request: 16384}\n",
        "f:3:19: limits.request: \"16384\" has no unit: write it as in 512B, 16KiB or 1MiB\n"},
    {BOTH "limits: {request: 16KB}\n", "f:3:19: limits.request: \"16KB\" is not a size: write a whole number "
                                       "and its unit, as in 512B, 16KiB or 1MiB\n"},
    {BOTH "limits: {request: 16kib}\n", "f:3:19: limits.request: \"16kib\" is not a size: write a whole "
                                        "number and its unit, as in 512B, 16KiB or 1MiB\n"},
    {BOTH "limits: {buffer: 4095B}\n", "f:3:18: limits.buffer: is too little: the least is 4KiB\n"},
    {BOTH "limits: {buffer: 17MiB}\n", "f:3:18: limits.buffer: is too much: the most is 16MiB\n"},
    {BOTH "limits: {buffer: off}\n", "f:3:18: limits.buffer: cannot be off: write a size such as 16KiB\n"},
    {BOTH "limits: {message: 0B}\n",
        "f:3:19: limits.message: is too little: the least is 1B, and \"off\" goes without\n"},
    {BOTH "limits: {message: 1048577MiB}\n",
        "f:3:19: limits.message: is too much: the most is 1048576MiB, and \"off\" goes without\n"},
    {BOTH "limits: {message: 18446744073709551616B}\n",
        "f:3:19: limits.message: is too much: the most is 1048576MiB, and \"off\" goes without\n"},
    {BOTH "limits: {message: 17592186044416MiB}\n",
        "f:3:19: limits.message: is too much: the most is 1048576MiB, and \"off\" goes without\n"},

    /* ---- log */
    {BOTH "log: {level: warn}\n",
        "f:3:14: log.level: \"warn\" is not one of its words: write debug, info, warning or error\n"},
    {BOTH "log: {level: trace}\n",
        "f:3:14: log.level: \"trace\" is not one of its words: write debug, info, warning or error\n"},
    {BOTH "log: {format: jsn}\n",
        "f:3:15: log.format: \"jsn\" is not text or json (did you mean \"json\"?)\n"},
    {BOTH "log: {output: stdout}\n", "f:3:15: log.output: \"stdout\" is neither stderr, syslog nor a file: "
                                     "write a file with a slash, such as ./stdout\n"},
    {BOTH "log: {output: [stderr]}\n", "f:3:15: log.output: has to be one value, not a list\n"},
    {BOTH "log: {file: x}\n",
        "f:3:7: log.file: unknown key; the keys here are level, format, output and rate\n"},

    /* ---- YAML */
    {BOTH "limits: {sessions: 1, sessions: 2}\n",
        "f:3:23: limits.sessions: is repeated: it stands at line 3 already, so take one of them out\n"},
    {BOTH "limits: &a {sessions: 1}\n",
        "f:3:9: limits: anchors (&name) are not supported: write the value where it is used\n"},
    {BOTH "limits: *a\n", "f:3:9: limits: aliases (*name) are not supported: write the value itself, or in "
                          "quotes where a star is meant\n"},
    {BOTH "limits: !!map {sessions: 1}\n",
        "f:3:9: limits: tags (!name) are not supported: write the value alone\n"},
    {BOTH "? [a]\n: b\n", "f:3:3: a key has to be one word, not a list or a mapping\n"},
    {BOTH "---\nlisten: x\n", "f:3:1: a second document starts here: a configuration is one\n"},
    {BOTH "limits:\n\tsessions: 1\n", "f:4:1: bad YAML: a tab cannot indent: write spaces\n"},
    {BOTH "limits: {sessions: 1\n",
        "f:4:1: bad YAML: the { of line 3 is not closed: write } where it ends\n"},
    {R "listen: {address: :8443}\n",
        "f:2:19: bad YAML: a text that starts with : has to be in quotes here: write \":8443\"\n"},
    {BOTH "<<: {a: b}\n", "f:3:1: <<: unknown key; the keys here are " TOP "\n"},
    {"listen: \"\xff"
     "\"\n",
        "f:1:10: byte 0xff is not UTF-8: save the file as UTF-8\n"},
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
