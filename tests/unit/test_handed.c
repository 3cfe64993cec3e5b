/* serve/handed, serve/notify: what a service manager hands over and hears. */
#include "serve/handed.h"
#include "serve/notify.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char why[HANDED_WHY_MAX];

static void set_pid(const char *name)
{
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(0, setenv(name, pid, 1));
}

static void without_an_environment_nothing_was_handed(void **state)
{
    (void)state;
    struct handed handed;
    char names[64];
    assert_int_equal(0, unsetenv("LISTEN_FDS"));
    assert_true(handed_init(&handed, why));
    assert_int_equal(0, handed.count);
    handed_names(&handed, names, sizeof names);
    assert_string_equal("none", names);
    handed_fini(&handed);
}

static void what_is_for_another_process_is_not_ours(void **state)
{
    (void)state;
    struct handed handed;
    assert_int_equal(0, setenv("LISTEN_FDS", "1", 1));
    assert_int_equal(0, setenv("LISTEN_PID", "1", 1));
    assert_true(handed_init(&handed, why));
    assert_int_equal(0, handed.count);
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
}

/* The first free descriptors are 3 and 4 in no process for sure: what is there is kept aside. */
struct aside {
    int kept[2];
};

static void lend(struct aside *aside, int first, int second)
{
    const int given[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        aside->kept[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 10);
        assert_true(dup2(given[i], 3 + i) == 3 + i);
    }
}

static void give_back(const struct aside *aside)
{
    for (int i = 0; i < 2; i++) {
        if (aside->kept[i] >= 0) {
            (void)dup2(aside->kept[i], 3 + i);
            close(aside->kept[i]);
        }
    }
}

static int listening(void)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    int low = socket(AF_UNIX, SOCK_STREAM, 0);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 10);
    close(low);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t)));
    assert_int_equal(0, listen(fd, 5));
    return fd;
}

static void sockets_come_by_their_names(void **state)
{
    (void)state;
    struct handed handed;
    struct aside aside;
    char names[64];
    int one = listening(), two = listening();
    lend(&aside, one, two);
    assert_int_equal(0, setenv("LISTEN_FDS", "2", 1));
    assert_int_equal(0, setenv("LISTEN_FDNAMES", "web", 1));
    set_pid("LISTEN_PID");
    assert_true(handed_init(&handed, why));
    assert_int_equal(2, handed.count);
    assert_string_equal("web", handed.sockets[0].name);
    assert_string_equal("unknown", handed.sockets[1].name);
    assert_int_equal(FD_CLOEXEC, fcntl(3, F_GETFD));
    assert_true((fcntl(4, F_GETFL) & O_NONBLOCK) != 0);
    handed_names(&handed, names, sizeof names);
    assert_string_equal("web, unknown", names);
    assert_null(getenv("LISTEN_FDNAMES"));
    handed_fini(&handed);
    assert_int_equal(-1, fcntl(3, F_GETFD));
    give_back(&aside);
    close(one);
    close(two);
}

static void what_does_not_listen_is_refused(void **state)
{
    (void)state;
    struct handed handed;
    struct aside aside;
    int one = listening(), low = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int null = fcntl(low, F_DUPFD_CLOEXEC, 10);
    close(low);
    lend(&aside, one, null);
    assert_int_equal(0, setenv("LISTEN_FDS", "2", 1));
    assert_int_equal(0, setenv("LISTEN_FDNAMES", "web:odd", 1));
    set_pid("LISTEN_PID");
    assert_false(handed_init(&handed, why));
    assert_non_null(strstr(why, "odd"));
    give_back(&aside);
    close(one);
    close(null);
}

static void messages_go_to_the_manager(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64], heard[600];
    (void)snprintf(name, sizeof name, "@sluice-notify-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(0, bind(manager, (struct sockaddr *)&address, len));

    struct notify notify;
    assert_int_equal(0, setenv("NOTIFY_SOCKET", name, 1));
    assert_int_equal(0, setenv("WATCHDOG_USEC", "5000000", 1));
    set_pid("WATCHDOG_PID");
    notify_init(&notify);
    assert_int_equal(5000, notify.watchdog_ms);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    notify_say(&notify, "READY=%d\nSTATUS=%s", 1, "fine");
    ssize_t n = recv(manager, heard, sizeof heard, 0);
    assert_int_equal(strlen("READY=1\nSTATUS=fine"), n);
    assert_memory_equal("READY=1\nSTATUS=fine", heard, (size_t)n);

    /* One that does not read holds nobody up. */
    for (int i = 0; i < 10000; i++) {
        notify_say(&notify, "WATCHDOG=1");
    }
    close(manager);
    notify_say(&notify, "STOPPING=1");
    notify_fini(&notify);
    notify_say(&notify, "to nobody");
}

static void without_a_manager_nothing_is_said(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "relative", "/", "@"};
    struct notify notify;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(0, setenv("NOTIFY_SOCKET", bad[i], 1));
        assert_int_equal(0, setenv("WATCHDOG_USEC", "1000000", 1));
        notify_init(&notify);
        assert_int_equal(-1, notify.fd);
        assert_int_equal(0, notify.watchdog_ms);
        notify_say(&notify, "READY=1");
        notify_fini(&notify);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_environment_nothing_was_handed),
        cmocka_unit_test(what_is_for_another_process_is_not_ours),
        cmocka_unit_test(sockets_come_by_their_names),
        cmocka_unit_test(what_does_not_listen_is_refused),
        cmocka_unit_test(messages_go_to_the_manager),
        cmocka_unit_test(without_a_manager_nothing_is_said),
    };
    return cmocka_run_group_tests_name("handed", tests, NULL, NULL);
}
