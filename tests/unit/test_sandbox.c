/* serve/sandbox: what a process can do no more once it is in, and what it still can. Each attempt has a
 * process of its own, which answers by its exit status or its end. */
#include "rules/load.h"
#include "serve/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DONE = 0, CANNOT_ENTER = 255 };

static struct sandbox_means means;
static char folder[] = "/tmp/sluice-sandbox-XXXXXX";
static char served[64], other[64], secret[64];
static int target_fd, other_fd, unix_fd;
static int loose_fd; /* a socket that is not connected */
static bool without_landlock;
static uint16_t target_port, other_port;
static struct sockaddr_un unix_address;
static struct rules *rules;

/* ---- The attempts: 0, or an errno. */

static int answer(long rc)
{
    return rc >= 0 ? DONE : errno;
}

static int read_served(void)
{
    char path[128], text[8];
    (void)snprintf(path, sizeof path, "%s/page", served);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : answer(read(fd, text, sizeof text));
}

static int read_served_below(void)
{
    int root = open(served, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    return root < 0 ? errno : answer(syscall(SYS_openat2, root, "page", &how, sizeof how));
}

static int write_below(void)
{
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/page", served);
    return answer(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

static int write_served(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/page", served);
    return answer(open(path, O_RDWR | O_CLOEXEC));
}

static int make_served(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/new", served);
    return answer(open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int read_other(void)
{
    return answer(open(other, O_RDONLY | O_CLOEXEC));
}

static int read_passwd(void)
{
    return answer(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int remove_other(void)
{
    return answer(unlink(other));
}

static int make_folder(void)
{
    return answer(mkdir(secret, 0700));
}

static int rename_other(void)
{
    return answer(rename(other, secret));
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : answer(connect(fd, (struct sockaddr *)&address, sizeof address));
}

static int connect_to_target(void)
{
    return connect_to(target_port);
}

static int connect_elsewhere(void)
{
    return connect_to(other_port);
}

static int connect_to_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : answer(connect(fd, (struct sockaddr *)&unix_address, sizeof unix_address));
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : answer(bind(fd, (struct sockaddr *)&address, sizeof address));
}

/* A descriptor from before. */
static int connect_what_it_has(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(other_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return answer(connect(loose_fd, (struct sockaddr *)&address, sizeof address));
}

static int listen_at_once(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : answer(listen(fd, 1));
}

static int open_raw(void)
{
    return answer(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int open_packet(void)
{
    return answer(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int open_mptcp(void)
{
    return answer(socket(AF_INET, SOCK_STREAM, 262));
}

static int open_any_socket(void)
{
    return answer(socket(AF_INET, SOCK_STREAM, 0));
}

static int run_a_program(void)
{
    char *arguments[] = {(char[]){"true"}, NULL};
    return answer(execv("/bin/true", arguments));
}

static int fork_a_process(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    return answer(pid);
}

static int trace_the_parent(void)
{
    return answer(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int signal_the_parent(void)
{
    return answer(kill(getppid(), 0));
}

/* tgkill(2) is on the list, for abort(3): Landlock keeps it at home. */
static int signal_the_parents_thread(void)
{
    return answer(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int leave_its_namespace(void)
{
    return answer(syscall(SYS_unshare, 0x10000000));
}

static int mount_something(void)
{
    return answer(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
}

static int load_bpf(void)
{
    return answer(syscall(SYS_bpf, 0, NULL, 0));
}

static int set_up_io_uring(void)
{
    return answer(syscall(SYS_io_uring_setup, 1, NULL));
}

static int become_root(void)
{
    return answer(syscall(SYS_setuid, 0));
}

static int take_keys(void)
{
    return answer(syscall(SYS_keyctl, 0, 0));
}

static int show_memory(void)
{
    return answer(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int allow_cores(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return answer(setrlimit(RLIMIT_CORE, &all));
}

static int make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? errno : DONE;
}

static int make_writable_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? 1 : answer(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int push_into_a_terminal(void)
{
    return answer(syscall(SYS_ioctl, 0, 0x5412, "x"));
}

static void *thread_main(void *argument)
{
    return argument;
}

static int start_a_thread(void)
{
    pthread_t thread;
    void *result = NULL;
    int error = pthread_create(&thread, NULL, thread_main, served);
    return error != 0 ? error : pthread_join(thread, &result) != 0 || result != served;
}

static int look_a_name_up(void)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int error = getaddrinfo("localhost", NULL, &hints, &found);
    if (error == 0) {
        freeaddrinfo(found);
    }
    return error == 0 ? DONE : 200;
}

static int use_memory(void)
{
    void *small = malloc(100), *large = malloc(8 << 20);
    int status = small != NULL && large != NULL ? DONE : ENOMEM;
    free(small);
    free(large);
    return status;
}

static int wait_for_events(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int loop = epoll_create1(EPOLL_CLOEXEC), wake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop < 0 || wake < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, wake, &event) != 0) {
        return errno;
    }
    return epoll_wait(loop, &event, 1, 1000) == 1 ? DONE : 1;
}

static int splice_bytes(void)
{
    int one[2], other_pipe[2];
    if (pipe2(one, O_CLOEXEC) != 0 || pipe2(other_pipe, O_CLOEXEC) != 0 || write(one[1], "x", 1) != 1) {
        return errno;
    }
    return answer(splice(one[0], NULL, other_pipe[1], NULL, 1, 0));
}

static int make_a_memfd(void)
{
    return answer(memfd_create("list", MFD_CLOEXEC));
}

static int list_into_a_stream(void)
{
    struct stat facts;
    int fd = memfd_create("list", MFD_CLOEXEC);
    FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (stream == NULL || fprintf(stream, "line\n") != 5 || fflush(stream) != 0) {
        return errno;
    }
    return answer(fstat(fd, &facts));
}

static int look_at_a_path(void)
{
    struct stat facts;
    return answer(stat(other, &facts));
}

static int end_itself(void)
{
    abort();
}

/* ---- */

/* From here on the kernel has no Landlock, as far as this process can see. */
static bool hide_landlock(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int attempt(enum sandbox_role role, const struct rules *by, int (*what)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char why[SANDBOX_WHY_MAX];
        sandbox_keep_memory();
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (without_landlock && !hide_landlock()) ||
            !sandbox_enter(role, by, why)) {
            _exit(CANNOT_ENTER);
        }
        _exit(what());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* What has to be there so that it is stopped. */
enum by { SECCOMP, LANDLOCK, PORTS, SCOPES };

struct row {
    const char *name;
    int (*what)(void);
    int answer; /* an errno, or -SIGNAL */
    enum by by;
};

#define ROW(what, answer, by)                                                                                \
    {                                                                                                        \
#what, what, answer, by                                                                              \
    }

static bool is_stopped_here(enum by by)
{
    switch (by) {
    case SECCOMP:
        return means.seccomp;
    case LANDLOCK:
        return means.landlock > 0;
    case PORTS:
        return means.landlock >= SANDBOX_LANDLOCK_TCP;
    case SCOPES:
        return means.landlock >= SANDBOX_LANDLOCK_SCOPES;
    }
    return false;
}

static void check(enum sandbox_role role, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int got = is_stopped_here(rows[i].by) ? attempt(role, rules, rows[i].what) : rows[i].answer;
        if (got != rows[i].answer) {
            fail_msg("%s: %d and not %d", rows[i].name, got, rows[i].answer);
        }
    }
}

#define CHECK(role, rows) check((role), (rows), sizeof(rows) / sizeof *(rows))

static void a_worker_is_stopped(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(write_served, ENOSYS, SECCOMP),
        ROW(make_served, ENOSYS, SECCOMP),
        ROW(write_below, EACCES, LANDLOCK),
        ROW(read_other, EACCES, LANDLOCK),
        ROW(read_passwd, EACCES, LANDLOCK),
        ROW(remove_other, ENOSYS, SECCOMP),
        ROW(make_folder, ENOSYS, SECCOMP),
        ROW(rename_other, ENOSYS, SECCOMP),
        ROW(connect_elsewhere, EACCES, PORTS),
        ROW(connect_what_it_has, EACCES, PORTS),
        ROW(listen_somewhere, EACCES, PORTS),
        ROW(listen_at_once, ENOSYS, SECCOMP),
        ROW(open_raw, ENOSYS, SECCOMP),
        ROW(open_packet, ENOSYS, SECCOMP),
        ROW(open_mptcp, ENOSYS, SECCOMP),
        ROW(run_a_program, -SIGSYS, SECCOMP),
        ROW(fork_a_process, ENOSYS, SECCOMP),
        ROW(trace_the_parent, -SIGSYS, SECCOMP),
        ROW(signal_the_parent, ENOSYS, SECCOMP),
        ROW(signal_the_parents_thread, EPERM, SCOPES),
        ROW(leave_its_namespace, -SIGSYS, SECCOMP),
        ROW(mount_something, -SIGSYS, SECCOMP),
        ROW(load_bpf, -SIGSYS, SECCOMP),
        ROW(set_up_io_uring, -SIGSYS, SECCOMP),
        ROW(become_root, -SIGSYS, SECCOMP),
        ROW(take_keys, -SIGSYS, SECCOMP),
        ROW(show_memory, ENOSYS, SECCOMP),
        ROW(allow_cores, ENOSYS, SECCOMP),
        ROW(make_code, ENOSYS, SECCOMP),
        ROW(make_writable_code, ENOSYS, SECCOMP),
        ROW(push_into_a_terminal, ENOSYS, SECCOMP),
    };
    CHECK(SANDBOX_WORKER, rows);
}

static void a_worker_can_do_its_work(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(read_served, DONE, SECCOMP),
        ROW(read_served_below, DONE, LANDLOCK),
        ROW(connect_to_target, DONE, SECCOMP),
        ROW(connect_to_unix, DONE, SECCOMP),
        ROW(start_a_thread, DONE, SECCOMP),
        ROW(use_memory, DONE, SECCOMP),
        ROW(wait_for_events, DONE, SECCOMP),
        ROW(splice_bytes, DONE, SECCOMP),
        ROW(make_a_memfd, DONE, SECCOMP),
        ROW(list_into_a_stream, DONE, SECCOMP),
        ROW(end_itself, -SIGABRT, SECCOMP),
    };
    CHECK(SANDBOX_WORKER, rows);
}

static void the_admin_process_has_no_files_and_no_sockets_to_make(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(read_served, ENOSYS, SECCOMP),
        ROW(read_passwd, ENOSYS, SECCOMP),
        ROW(write_below, ENOSYS, SECCOMP),
        ROW(open_any_socket, ENOSYS, SECCOMP),
        ROW(connect_to_unix, ENOSYS, SECCOMP),
        ROW(connect_what_it_has, ENOSYS, SECCOMP),
        ROW(fork_a_process, ENOSYS, SECCOMP),
        ROW(run_a_program, -SIGSYS, SECCOMP),
        ROW(make_code, ENOSYS, SECCOMP),
        ROW(look_at_a_path, ENOSYS, SECCOMP),
        ROW(use_memory, DONE, SECCOMP),
        ROW(wait_for_events, DONE, SECCOMP),
        ROW(list_into_a_stream, DONE, SECCOMP),
    };
    CHECK(SANDBOX_ADMIN, rows);
}

/* What is left then is which calls there are: none that writes to a file, none with arguments out of sight.
 */
static void without_landlock_the_lists_hold(void **state)
{
    (void)state;
    static const struct row of_worker[] = {
        ROW(read_served, DONE, SECCOMP),
        ROW(read_served_below, ENOSYS, SECCOMP),
        ROW(write_served, ENOSYS, SECCOMP),
        ROW(make_served, ENOSYS, SECCOMP),
        ROW(write_below, ENOSYS, SECCOMP),
        ROW(remove_other, ENOSYS, SECCOMP),
        ROW(connect_to_target, DONE, SECCOMP),
        ROW(listen_at_once, ENOSYS, SECCOMP),
        ROW(run_a_program, -SIGSYS, SECCOMP),
        ROW(fork_a_process, ENOSYS, SECCOMP),
        ROW(signal_the_parent, ENOSYS, SECCOMP),
        ROW(start_a_thread, DONE, SECCOMP),
    };
    static const struct row of_admin[] = {
        ROW(read_served, ENOSYS, SECCOMP),
        ROW(write_below, ENOSYS, SECCOMP),
        ROW(open_any_socket, ENOSYS, SECCOMP),
        ROW(connect_what_it_has, ENOSYS, SECCOMP),
        ROW(run_a_program, -SIGSYS, SECCOMP),
        ROW(use_memory, DONE, SECCOMP),
    };
    without_landlock = true;
    CHECK(SANDBOX_WORKER, of_worker);
    CHECK(SANDBOX_ADMIN, of_admin);
    without_landlock = false;
}

static struct rules *load(const char *text)
{
    struct faults faults;
    faults_init(&faults);
    struct rules *loaded = rules_load_text(text, strlen(text), "f", &faults);
    faults_print(&faults, "f", stderr);
    faults_fini(&faults);
    assert_non_null(loaded);
    return loaded;
}

/* With names there is more to be read: the folder that the hosts file lies in, with `strict` that file. */
static void names_need_their_files(void **state)
{
    (void)state;
    static const char *const modes[] = {"auto", "strict", "off"};
    const int wanted[] = {DONE, EACCES, DONE};
    if (!means.seccomp || means.landlock < SANDBOX_LANDLOCK_TCP) {
        skip();
    }
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
            "sandbox: %s\nlisten: {address: \":0\"}\nroutes: {target: tcp://name.test:80}\n", modes[i]);
        struct rules *named = load(text);
        assert_int_equal(attempt(SANDBOX_WORKER, named, read_passwd), wanted[i]);
        assert_int_equal(attempt(SANDBOX_WORKER, named, look_a_name_up), DONE);
        assert_int_equal(attempt(SANDBOX_WORKER, named, read_other), i < 2 ? EACCES : DONE);
        rules_free(named);
    }
}

static void strict_takes_all_of_it(void **state)
{
    (void)state;
    char why[SANDBOX_WHY_MAX];
    struct rules by = {.sandbox = SANDBOX_STRICT};
    struct sandbox_means all = {true, true, SANDBOX_LANDLOCK_TCP}, some = all;
    assert_true(sandbox_suffices(&by, &all, why));
    some.landlock--;
    assert_false(sandbox_suffices(&by, &some, why));
    assert_non_null(strstr(why, "no Landlock that knows TCP ports"));
    some = (struct sandbox_means){true, false, SANDBOX_LANDLOCK_TCP};
    assert_false(sandbox_suffices(&by, &some, why));
    assert_non_null(strstr(why, "no seccomp"));
    some = (struct sandbox_means){0};
    assert_false(sandbox_suffices(&by, &some, why));
    assert_non_null(strstr(why, "a build for tests"));
    by.sandbox = SANDBOX_AUTO;
    assert_true(sandbox_suffices(&by, &some, why));
    by.sandbox = SANDBOX_OFF;
    assert_true(sandbox_suffices(&by, &some, why));
}

static void what_there_is_has_words(void **state)
{
    (void)state;
    static const struct {
        struct sandbox_means means;
        const char *text;
    } rows[] = {
        {{true, true, 7}, "seccomp, Landlock ABI 7 (files, TCP ports)"},
        {{true, true, 3}, "seccomp, Landlock ABI 3 (files; TCP ports take ABI 4)"},
        {{true, true, 0}, "seccomp; no Landlock, which the kernel lacks or has not enabled"},
        {{true, false, 4}, "no seccomp, which the kernel lacks, Landlock ABI 4 (files, TCP ports)"},
        {{false, false, 0}, "none, in a build for tests"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[SANDBOX_MEANS_TEXT_MAX];
        sandbox_means_format(&rows[i].means, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* ---- */

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
}

static int listening(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    char path[128], text[512];
    means = sandbox_means_find();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(served, sizeof served, "%s/www", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    (void)snprintf(secret, sizeof secret, "%s/secret", folder);
    assert_int_equal(mkdir(served, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/page", served);
    write_file(path);
    write_file(other);
    target_fd = listening(&target_port);
    other_fd = listening(&other_port);
    loose_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(loose_fd >= 0);
    unix_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(unix_address.sun_path, sizeof unix_address.sun_path, "%s/sock", folder);
    unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(unix_fd, (struct sockaddr *)&unix_address, sizeof unix_address), 0);
    assert_int_equal(listen(unix_fd, 8), 0);
    (void)snprintf(text, sizeof text,
        "listen: {address: \":0\"}\nroutes:\n  - {path: /a, target: [tcp://127.0.0.1:%u, unix:%s]}\n"
        "  - {path: /*, files: %s}\n",
        (unsigned)target_port, unix_address.sun_path, served);
    rules = load(text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/page", served);
    rules_free(rules);
    close(target_fd);
    close(other_fd);
    close(loose_fd);
    close(unix_fd);
    (void)unlink(path);
    (void)unlink(other);
    (void)unlink(unix_address.sun_path);
    (void)rmdir(served);
    (void)rmdir(secret);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_is_stopped),
        cmocka_unit_test(a_worker_can_do_its_work),
        cmocka_unit_test(the_admin_process_has_no_files_and_no_sockets_to_make),
        cmocka_unit_test(without_landlock_the_lists_hold),
        cmocka_unit_test(names_need_their_files),
        cmocka_unit_test(strict_takes_all_of_it),
        cmocka_unit_test(what_there_is_has_words),
    };
    return cmocka_run_group_tests_name("sandbox", tests, set_up, tear_down);
}
