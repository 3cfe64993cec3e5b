/* Makes the seccomp filters of serve/sandbox, while it is built: writes a header to standard output, of one
 * array of BPF for each role. So the gateway has no library for it and no memory of one, and there is nothing
 * that could fail behind its start. Runs where it is built, for the machine that it was compiled for. */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* ---- The lists. A call that a machine does not have is passed over. */

/* Bytes, waiting, memory, time, and what the C library needs. */
static const int for_all[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recv),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(send),
    SCMP_SYS(shutdown),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd4),
    SCMP_SYS(pipe2),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_getres_time64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getuid32),
    SCMP_SYS(geteuid32),
    SCMP_SYS(getgid32),
    SCMP_SYS(getegid32),
    SCMP_SYS(uname),
    SCMP_SYS(getrlimit),
    SCMP_SYS(ugetrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(tgkill),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Splicing, files to serve and to look names up by, threads that do so. */
static const int for_workers[] = {
    SCMP_SYS(splice),
    SCMP_SYS(sendfile),
    SCMP_SYS(sendfile64),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(stat),
    SCMP_SYS(stat64),
    SCMP_SYS(lstat),
    SCMP_SYS(lstat64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatat64),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(dup),
    SCMP_SYS(dup3),
    SCMP_SYS(socketpair),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(membarrier),
};

/* What no library tries and only an intruder wants. */
static const int fatal[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(personality),
    SCMP_SYS(mknodat),
    SCMP_SYS(setuid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(reboot),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(swapon),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(syslog),
};

/* ---- Rules with arguments. */

enum role { WORKER, ADMIN };

struct filter {
    scmp_filter_ctx context;
    int error; /* 0 so far, else an errno */
};

static void allow_if(struct filter *f, int call, unsigned count, const struct scmp_arg_cmp *conditions)
{
    int rc = seccomp_rule_add_array(f->context, SCMP_ACT_ALLOW, call, count, conditions);
    if (rc < 0 && rc != -EDOM && f->error == 0) { /* EDOM: not on this machine */
        f->error = -rc;
    }
}

static struct scmp_arg_cmp equals(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

#define ALLOW_IF(f, call, ...)                                                                               \
    do {                                                                                                     \
        const struct scmp_arg_cmp conditions_[] = {__VA_ARGS__};                                             \
        allow_if((f), SCMP_SYS(call), sizeof conditions_ / sizeof *conditions_, conditions_);                \
    } while (0)

static void allow_all(struct filter *f, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        allow_if(f, calls[i], 0, NULL);
    }
}

static void end_at(struct filter *f, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = seccomp_rule_add_array(f->context, SCMP_ACT_KILL_PROCESS, calls[i], 0, NULL);
        if (rc < 0 && rc != -EDOM && f->error == 0) {
            f->error = -rc;
        }
    }
}

/* Memory that runs is mapped from a file and cannot be written: modules of nsswitch.conf are loaded so. */
static void allow_memory(struct filter *f, enum role role)
{
    ALLOW_IF(f, mmap, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    ALLOW_IF(f, mmap2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    ALLOW_IF(f, mprotect, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (role == WORKER) {
        ALLOW_IF(f, mmap, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
        ALLOW_IF(f, mmap2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
    }
}

static void allow_small(struct filter *f)
{
    static const uint64_t of_fcntl[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ,
        F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS};
    static const uint64_t of_ioctl[] = {FIONREAD, FIONBIO, SIOCOUTQ, SIOCOUTQNSD, TCGETS};
    for (size_t i = 0; i < sizeof of_fcntl / sizeof *of_fcntl; i++) {
        ALLOW_IF(f, fcntl, equals(1, of_fcntl[i]));
        ALLOW_IF(f, fcntl64, equals(1, of_fcntl[i]));
    }
    for (size_t i = 0; i < sizeof of_ioctl / sizeof *of_ioctl; i++) {
        ALLOW_IF(f, ioctl, equals(1, of_ioctl[i]));
    }
    ALLOW_IF(f, prctl, equals(0, PR_SET_NAME));
    ALLOW_IF(f, prlimit64, equals(0, 0), equals(2, 0)); /* to ask, not to set */
}

/* Streams to targets, datagrams for names; the protocol is told, since Landlock knows no ports of others
 * (such as MPTCP). Netlink tells the C library which families this machine has addresses of. */
static void allow_sockets(struct filter *f)
{
    const uint64_t type_mask = 0xF;
    static const struct {
        int type, protocol;
    } kinds[] = {{SOCK_STREAM, 0}, {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, 0}, {SOCK_DGRAM, IPPROTO_UDP}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (int v6 = 0; v6 < 2; v6++) {
            ALLOW_IF(f, socket, equals(0, (uint64_t)(v6 ? AF_INET6 : AF_INET)),
                SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, (uint64_t)kinds[i].type),
                equals(2, (uint64_t)kinds[i].protocol));
        }
    }
    ALLOW_IF(f, socket, equals(0, AF_UNIX));
    ALLOW_IF(f, socket, equals(0, AF_NETLINK), equals(2, NETLINK_ROUTE));
}

/* Files to read, threads and no processes. clone3(2) has its flags where a filter cannot see them: without it
 * the C library takes clone(2). openat2(2) the same: without it files are opened name by name. */
static void allow_to_workers(struct filter *f, bool beside_landlock)
{
    const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
    const uint64_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    ALLOW_IF(f, open, SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    ALLOW_IF(f, openat, SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    if (beside_landlock) {
        allow_if(f, SCMP_SYS(openat2), 0, NULL);
    }
    ALLOW_IF(f, clone, SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    allow_sockets(f);
}

/* It looks at descriptors that it has, by the call that for others has a path. */
static void allow_to_admin(struct filter *f)
{
    ALLOW_IF(f, newfstatat, SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    ALLOW_IF(f, fstatat64, SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    ALLOW_IF(f, statx, SCMP_A2(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
}

static void fill(struct filter *f, enum role role, bool beside_landlock)
{
    /* The kernel remembers the calls that are allowed whatever their arguments (Linux 5.11), so the order of
     * the list costs nothing. */
    (void)seccomp_attr_set(f->context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    allow_all(f, for_all, sizeof for_all / sizeof *for_all);
    allow_memory(f, role);
    allow_small(f);
    end_at(f, fatal, sizeof fatal / sizeof *fatal);
    switch (role) {
    case WORKER:
        allow_all(f, for_workers, sizeof for_workers / sizeof *for_workers);
        allow_to_workers(f, beside_landlock);
        break;
    case ADMIN:
        allow_to_admin(f);
        break;
    }
}

/* ---- The header. */

/* Answers 0 or an errno. */
static int print(scmp_filter_ctx context, const char *name)
{
    struct sock_filter one;
    FILE *program = tmpfile();
    int error = program != NULL ? -seccomp_export_bpf(context, fileno(program)) : errno;
    if (error == 0) {
        (void)printf("static const struct sock_filter %s[] = {\n", name);
        rewind(program);
        while (fread(&one, sizeof one, 1, program) == 1) {
            (void)printf("    {0x%02x, %u, %u, 0x%08x},\n", one.code, one.jt, one.jf, one.k);
        }
        error = ferror(program) ? EIO : 0;
        (void)printf("};\n");
    }
    if (program != NULL) {
        (void)fclose(program);
    }
    return error;
}

static bool make(const char *name, enum role role, bool beside_landlock)
{
    struct filter filter = {.context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS))};
    if (filter.context == NULL) {
        filter.error = ENOMEM;
    } else {
        fill(&filter, role, beside_landlock);
        if (filter.error == 0) {
            filter.error = print(filter.context, name);
        }
        seccomp_release(filter.context);
    }
    if (filter.error != 0) {
        (void)fprintf(
            stderr, "sandbox: the filter %s could not be built: %s\n", name, strerror(filter.error));
    }
    return filter.error == 0;
}

int main(void)
{
    /* What the kernel of this machine can do is no matter. */
    const unsigned with_kill_process = 3;
    if (seccomp_api_set(with_kill_process) != 0) {
        (void)fprintf(stderr, "sandbox: libseccomp is too old\n");
        return EXIT_FAILURE;
    }
    (void)printf("/* Made by gateway/tools/sandbox_filters.c. */\n");
    bool made = make("of_worker", WORKER, false) && make("of_worker_beside_landlock", WORKER, true) &&
                make("of_admin", ADMIN, false);
    return made && fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
