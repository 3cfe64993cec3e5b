#include "serve/ctl.h"
#include "base/text.h"
#include "rules/load.h"
#include "serve/ctl_internal.h"
#include "serve/sessions_json.h"
#include "serve/worker.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice ctl [-c FILE | --admin ADDRESS] COMMAND\n"
    "  sessions [--route NAME] [--client ADDRESS|NET] [--json]   live sessions\n"
    "  kill ID | --route NAME | --client ADDRESS|NET | --all     end sessions (1008)\n"
    "  status                                                    how the gateway is\n"
    "  top [--route NAME] [--client ADDRESS|NET]                 live sessions by throughput; keys q, s, r\n"
    "\n"
    "The admin listener is that of FILE (" LOAD_DEFAULT_FILE "), or at ADDRESS: HOST:PORT or unix:PATH.\n";

static int usage_error(const char *what, const char *which)
{
    (void)fprintf(
        stderr, "sluice: %s%s%s\n%s", what, which != NULL ? ": " : "", which != NULL ? which : "", usage);
    return EXIT_USAGE;
}

enum { OPTION_ADMIN = 256, OPTION_ROUTE, OPTION_CLIENT, OPTION_ALL, OPTION_JSON };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"route", required_argument, NULL, OPTION_ROUTE},
    {"client", required_argument, NULL, OPTION_CLIENT},
    {"all", no_argument, NULL, OPTION_ALL},
    {"json", no_argument, NULL, OPTION_JSON},
    {0},
};

struct ctl_line {
    const char *file, *admin, *route, *client; /* NULL: not given */
    bool all, json, help, bad;
};

static struct ctl_line read_options(int argc, char **argv)
{
    struct ctl_line line = {0};
    int option;
    optind = 0; /* another command line than the one that main reads */
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            line.file = optarg;
            break;
        case 'h':
            line.help = true;
            break;
        case OPTION_ADMIN:
            line.admin = optarg;
            break;
        case OPTION_ROUTE:
            line.route = optarg;
            break;
        case OPTION_CLIENT:
            line.client = optarg;
            break;
        case OPTION_ALL:
            line.all = true;
            break;
        case OPTION_JSON:
            line.json = true;
            break;
        default:
            line.bad = true;
        }
    }
    return line;
}

/* The admin listener that a file names. */
static int endpoint_of_file(const char *file, struct endpoint *admin)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_file_partly(file, &faults); /* a fault elsewhere is no matter here */
    if (rules == NULL || !rules->admin.on) {
        faults_print(&faults, file, stderr);
    }
    faults_fini(&faults);
    if (rules == NULL) {
        return EXIT_USAGE;
    }
    int status = EXIT_FINE;
    *admin = rules->admin.address;
    if (!rules->admin.on) {
        (void)fprintf(stderr,
            "%s: has no admin listener: give it `admin: {address: 127.0.0.1:9901}`, or name another's by "
            "--admin\n",
            file);
        status = EXIT_USAGE;
    } else if (admin->kind == ENDPOINT_INET && admin->port == 0) {
        (void)fprintf(stderr,
            "%s:%u:%u: admin.address: port 0 is another one at every start: name it by --admin (the log's "
            "`ready` has it)\n",
            file, rules->admin.at.line, rules->admin.at.column);
        status = EXIT_USAGE;
    }
    rules_free(rules);
    return status;
}

static int find_admin(const struct ctl_line *line, struct endpoint *admin)
{
    const char *why = "";
    if (line->admin == NULL) {
        return endpoint_of_file(line->file != NULL ? line->file : LOAD_DEFAULT_FILE, admin);
    }
    if (line->file != NULL) {
        return usage_error("-c and --admin are two ways to name one thing", NULL);
    }
    if (!endpoint_parse(slice_from(line->admin), admin, &why)) {
        (void)fprintf(stderr, "sluice: --admin %s: %s\n", line->admin, why);
        return EXIT_USAGE;
    }
    return EXIT_FINE;
}

/* RFC 3986 2.3: all but unreserved characters is encoded. */
static void add_pair(struct text *query, const char *key, const char *value)
{
    if (value == NULL) {
        return;
    }
    text_addf(query, "%c%s=", query->len == 0 ? '?' : '&', key);
    for (const char *at = value; *at != '\0'; at++) {
        bool plain = (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     strchr("-._~", *at) != NULL;
        text_addf(query, plain ? "%c" : "%%%02X", (unsigned char)*at);
    }
}

/* Columns as wide as their widest for who reads them; tabs for programs. */
static void print_table(struct slice table, bool aligned)
{
    enum { COLUMNS_MAX = 32 };
    int widths[COLUMNS_MAX] = {0};
    struct slice rest = table, line, cell;
    while (ctl_next_line(&rest, &line)) {
        for (size_t i = 0; i < COLUMNS_MAX && slice_next(&line, '\t', &cell); i++) {
            widths[i] = (int)cell.len > widths[i] ? (int)cell.len : widths[i];
        }
    }
    rest = table;
    while (ctl_next_line(&rest, &line)) {
        if (!aligned) {
            (void)printf("%.*s\n", SLICE_ARG(line));
            continue;
        }
        for (size_t i = 0; i < COLUMNS_MAX && slice_next(&line, '\t', &cell); i++) {
            (void)printf(
                "%*.*s%s", line.len > 0 ? -widths[i] : 0, SLICE_ARG(cell), line.len > 0 ? "  " : "\n");
        }
    }
}

static int flushed(int status)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? status : EXIT_CANNOT_RUN;
}

static int list(const struct endpoint *admin, const struct ctl_line *line, const char *query)
{
    char path[CTL_QUERY_MAX + 16];
    struct ctl_answer answer;
    int status;
    (void)snprintf(path, sizeof path, "/sessions%s", query);
    if (!ctl_ask_fine(admin, "GET", path, line->json ? "application/json" : "text/plain", &answer, &status)) {
        return status;
    }
    if (line->json) {
        status = ctl_tell_silent(sessions_json_silent(answer.body));
        (void)fwrite(answer.body.p, 1, answer.body.len, stdout);
    } else {
        status = ctl_tell_silent(ctl_cut_silent(&answer.body));
        print_table(answer.body, isatty(STDOUT_FILENO) == 1);
    }
    ctl_answer_fini(&answer);
    return flushed(status);
}

static int end_sessions(const struct endpoint *admin, const char *id, const char *query)
{
    char path[CTL_QUERY_MAX + 64];
    struct ctl_answer answer;
    int status;
    (void)snprintf(path, sizeof path, id != NULL ? "/sessions/%s" : "/sessions%s", id != NULL ? id : query);
    if (!ctl_ask_fine(admin, "DELETE", path, "text/plain", &answer, &status)) {
        return status;
    }
    status = ctl_tell_silent(ctl_cut_silent(&answer.body));
    (void)fwrite(answer.body.p, 1, answer.body.len, stdout);
    ctl_answer_fini(&answer);
    return flushed(status);
}

/* An id goes into a path as it is. */
static bool is_id(const char *s)
{
    return strlen(s) == 16 && strspn(s, "0123456789abcdefABCDEF") == 16;
}

static int kill_command(
    const struct endpoint *admin, const struct ctl_line *line, const char *id, char *query)
{
    bool filtered = line->route != NULL || line->client != NULL;
    if ((id != NULL) + filtered + line->all != 1) {
        return usage_error("kill takes one of ID, --route and --client, or --all", NULL);
    }
    if (id != NULL && !is_id(id)) {
        return usage_error("an id is 16 hexadecimal digits, as in the log", id);
    }
    return end_sessions(admin, id, line->all ? "?all=1" : query);
}

static int run(const struct ctl_line *line, char **words, int count)
{
    struct endpoint admin;
    struct text query;
    char array[CTL_QUERY_MAX];
    text_init(&query, array, sizeof array);
    add_pair(&query, "route", line->route);
    add_pair(&query, "client", line->client);
    bool is_kill = strcmp(words[0], "kill") == 0, is_list = strcmp(words[0], "sessions") == 0;
    bool is_top = strcmp(words[0], "top") == 0, is_status = strcmp(words[0], "status") == 0;
    if (!is_kill && !is_list && !is_top && !is_status) {
        return usage_error("not a command of ctl", words[0]);
    }
    if (count > (is_kill ? 2 : 1) || (!is_kill && line->all) || (!is_list && line->json) ||
        (is_status && query.len > 0)) {
        return usage_error("too much on the line for this command", words[0]);
    }
    if (query.cut) {
        return usage_error("--route or --client is too long", NULL);
    }
    int status = find_admin(line, &admin);
    if (status != EXIT_FINE) {
        return status;
    }
    return is_kill   ? kill_command(&admin, line, count == 2 ? words[1] : NULL, array)
           : is_list ? list(&admin, line, array)
           : is_top  ? ctl_top(&admin, array)
                     : ctl_status(&admin);
}

int ctl_run(int argc, char **argv)
{
    struct ctl_line line = read_options(argc, argv);
    if (line.bad) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (line.help) {
        (void)fputs(usage, stdout);
        return flushed(EXIT_FINE);
    }
    if (optind == argc) {
        return usage_error("which command?", NULL);
    }
    return run(&line, argv + optind, argc - optind);
}
