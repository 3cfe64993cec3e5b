/* The command line. */
#include "rules/load.h"
#include "serve/check.h"
#include "serve/ctl.h"
#include "serve/explain.h"
#include "serve/supervisor.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice [-c FILE]                   run in the foreground\n"
    "       sluice check [-c FILE]             validate FILE and everything that it names\n"
    "       sluice explain [-c FILE] URL [--origin ORIGIN] [--subprotocol P,P] [--from IP]\n"
    "                                          say what that request would get\n"
    "       sluice ctl COMMAND                 sessions, kill, status, top of a running gateway (sluice ctl "
    "--help)\n"
    "       sluice LISTEN TARGET               no file: relay every path of LISTEN to TARGET\n"
    "       sluice --version | --help\n"
    "\n"
    "LISTEN is a port on every address, or HOST:PORT, or unix:PATH. TARGET is HOST:PORT or tcp://HOST:PORT,\n"
    "tls://HOST:PORT or unix:PATH. That is for programs: no page is served, and pages from another host or\n"
    "port get 403; a FILE can say otherwise.\n"
    "\n"
    "FILE defaults to /etc/sluice/sluice.yaml. Exit status: 0 fine, 1 could not run, 2 usage or "
    "configuration,\n"
    "3 (explain) no route takes the request.\n";

static int usage_error(const char *what, const char *which)
{
    (void)fprintf(
        stderr, "sluice: %s%s%s\n%s", what, which != NULL ? ": " : "", which != NULL ? which : "", usage);
    return EXIT_USAGE;
}

/* Prints what is wrong with the rules (`rules` is then NULL), or serves by them; `file` is where a reload
 * reads them again. */
static int run(struct rules *rules, struct faults *faults, const char *source, const char *file)
{
    faults_print(faults, source, stderr);
    faults_fini(faults);
    if (rules == NULL) {
        return EXIT_USAGE;
    }
    return supervisor_run(rules, file);
}

static int run_file(const char *file)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_load_file(file, &faults);
    if (rules != NULL && !check_files_named(rules, &faults)) {
        rules_free(rules);
        rules = NULL;
    }
    return run(rules, &faults, file, file);
}

static int run_arguments(const char *listen, const char *target)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *rules = rules_from_arguments(listen, target, &faults);
    return run(rules, &faults, "sluice", NULL);
}

enum { OPTION_VERSION = 256, OPTION_ORIGIN, OPTION_SUBPROTOCOL, OPTION_FROM };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"origin", required_argument, NULL, OPTION_ORIGIN},
    {"subprotocol", required_argument, NULL, OPTION_SUBPROTOCOL},
    {"from", required_argument, NULL, OPTION_FROM},
    {0},
};

struct command_line {
    struct explain_options explain; /* `file` NULL: not given */
    bool explains;                  /* an option of `explain` was given */
    bool help;
    bool version;
    bool bad;
};

static struct command_line read_options(int argc, char **argv)
{
    struct command_line line = {0};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        line.explains = line.explains || option > OPTION_VERSION;
        switch (option) {
        case 'c':
            line.explain.file = optarg;
            break;
        case 'h':
            line.help = true;
            break;
        case OPTION_VERSION:
            line.version = true;
            break;
        case OPTION_ORIGIN:
            line.explain.origin = optarg;
            break;
        case OPTION_SUBPROTOCOL:
            line.explain.subprotocol = optarg;
            break;
        case OPTION_FROM:
            line.explain.from = optarg;
            break;
        default:
            line.bad = true;
        }
    }
    return line;
}

/* Where standard input, output or error came closed, the next thing opened would take its number: shared
 * memory, say, that log lines were then written to. */
static void open_standard(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    open_standard();
    if (argc > 1 && strcmp(argv[1], "ctl") == 0) {
        return ctl_run(argc - 1, argv + 1); /* it has options of its own */
    }
    struct command_line line = read_options(argc, argv);
    char **words = argv + optind;
    int count = argc - optind;
    if (line.bad) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (line.help || line.version) {
        return fputs(line.help ? usage : "sluice " SLUICE_VERSION "\n", stdout) < 0 ? EXIT_CANNOT_RUN
                                                                                    : EXIT_FINE;
    }
    const char *file = line.explain.file != NULL ? line.explain.file : LOAD_DEFAULT_FILE;
    if (count > 0 && strcmp(words[0], "explain") == 0) {
        if (count != 2) {
            return usage_error("explain takes one URL", NULL);
        }
        line.explain.file = file;
        line.explain.url = words[1];
        return explain_run(&line.explain);
    }
    if (line.explains) {
        return usage_error("--origin, --subprotocol and --from belong to `sluice explain`", NULL);
    }
    if (count == 1 && strcmp(words[0], "check") == 0) {
        return check_run(file);
    }
    if (count > 1 && strcmp(words[0], "check") == 0) {
        return usage_error("check takes its file by -c, as in `sluice check -c sluice.yaml`; not", words[1]);
    }
    if (count == 1) {
        return usage_error("TARGET is missing after LISTEN", words[0]);
    }
    if (count == 2 && line.explain.file == NULL) {
        return run_arguments(words[0], words[1]);
    }
    return count == 0 ? run_file(file) : usage_error("not a command", words[0]);
}
