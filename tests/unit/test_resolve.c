#include "base/clock.h"
#include "net/resolve.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20 * 1000 };

struct answer {
    int count;
    int error;
    int addresses;
    bool loopback;               /* all of them are this machine's */
    uint16_t port;               /* the last one's */
    struct resolve_job *cancels; /* by whom this one's answer is heard */
    struct resolver *frees;
};

static struct loop *loop;

/* ---- Names of our own: *.made is this machine, and stuck.made has to wait for `hold` to end. */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool holds;
    unsigned asked; /* for stuck.made, since `hold` */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hold(void)
{
    pthread_mutex_lock(&server.lock);
    server.holds = true;
    server.asked = 0;
    pthread_mutex_unlock(&server.lock);
}

static void let_go(void)
{
    pthread_mutex_lock(&server.lock);
    server.holds = false;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static unsigned stuck_asked(void)
{
    pthread_mutex_lock(&server.lock);
    unsigned asked = server.asked;
    pthread_mutex_unlock(&server.lock);
    return asked;
}

static void wait_until_stuck(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&server.lock);
    while (server.asked == 0) {
        assert_int_equal(0, pthread_cond_timedwait(&server.changed, &server.lock, &until));
    }
    pthread_mutex_unlock(&server.lock);
}

/* In place of the system's. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*system_getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    size_t len = host != NULL ? strlen(host) : 0;
    if (len < 5 || strcasecmp(host + len - 5, ".made") != 0 || hints->ai_flags & AI_NUMERICHOST) {
        return system_getaddrinfo(host, service, hints, found);
    }
    if (strcasecmp(host, "stuck.made") == 0) {
        pthread_mutex_lock(&server.lock);
        server.asked++;
        pthread_cond_broadcast(&server.changed);
        while (server.holds) {
            pthread_cond_wait(&server.changed, &server.lock);
        }
        pthread_mutex_unlock(&server.lock);
    }
    const struct addrinfo numeric = {.ai_socktype = hints->ai_socktype, .ai_flags = AI_NUMERICHOST};
    return system_getaddrinfo("127.0.0.1", service, &numeric, found);
}

/* ---- Who asks. */

static bool is_loopback(const struct sockaddr *address, uint16_t *port)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        *port = ntohs(in->sin_port);
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    *port = ntohs(in6->sin6_port);
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static void heard(void *context, int error, const struct addrinfo *addresses)
{
    struct answer *answer = context;
    answer->count++;
    answer->error = error;
    if (error == 0) {
        assert_non_null(addresses);
        assert_int_equal(SOCK_STREAM, addresses->ai_socktype);
        answer->loopback = true;
        for (; addresses != NULL; addresses = addresses->ai_next) {
            answer->loopback = answer->loopback && is_loopback(addresses->ai_addr, &answer->port);
            answer->addresses++;
        }
    } else {
        assert_null(addresses);
    }
    if (answer->cancels != NULL) {
        resolve_cancel(answer->cancels);
        answer->cancels = NULL;
    }
    if (answer->frees != NULL) {
        resolver_free(answer->frees);
        answer->frees = NULL;
    }
}

static struct resolve_job *ask(struct resolver *resolver, const char *host, struct answer *answer)
{
    return resolve_start(resolver, host, 5900, heard, answer);
}

static void turn_until(const int *count, int wanted)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (*count < wanted) {
        assert_true(clock_now_ms() < until_ms);
        loop_turn(loop, 1000);
    }
}

static void expect_loopback(struct resolver *resolver, const char *host)
{
    struct answer answer = {0};
    assert_non_null(ask(resolver, host, &answer));
    assert_int_equal(0, answer.count); /* never from inside */
    turn_until(&answer.count, 1);
    assert_int_equal(0, answer.error);
    assert_true(answer.loopback);
    assert_int_equal(5900, answer.port);
    assert_int_equal(strcasestr(host, "localhost") != NULL ? 2 : 1, answer.addresses); /* of both families */
}

/* By a thread or without. */
static void this_machine_is_found_by_any_name(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "Localhost", "localhost.", "desk.localhost", "127.0.0.1",
        "::1", "127.0.0.2", "127.1", "any.made"};
    struct resolver *resolver = resolver_new(loop, 2);
    assert_non_null(resolver);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        expect_loopback(resolver, hosts[i]);
    }
    resolver_free(resolver);
}

static void a_name_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    static const char *const hosts[] = {"nosuch.invalid", "", "notlocalhost.invalid"};
    struct resolver *resolver = resolver_new(loop, 1);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct answer answer = {0};
        assert_non_null(ask(resolver, hosts[i], &answer));
        turn_until(&answer.count, 1);
        assert_int_not_equal(0, answer.error);
        assert_string_not_equal("", gai_strerror(answer.error));
    }
    resolver_free(resolver);
}

/* Also when nobody waits for it any more. */
static void a_stuck_name_holds_one_thread(void **state)
{
    (void)state;
    struct resolver *resolver = resolver_new(loop, 2);
    struct answer gone = {0}, first = {0}, second = {0};
    hold();
    struct resolve_job *job = ask(resolver, "stuck.made", &gone);
    wait_until_stuck();
    resolve_cancel(job);
    for (int i = 0; i < 10; i++) {
        assert_non_null(job = ask(resolver, i % 2 == 0 ? "stuck.made" : "Stuck.MADE", &gone));
        expect_loopback(resolver, "other.made");
        resolve_cancel(job);
    }
    assert_non_null(resolve_start(resolver, "stuck.made", 1, heard, &first));
    assert_non_null(resolve_start(resolver, "stuck.made", 2, heard, &second));
    assert_int_equal(1, stuck_asked());
    let_go();
    turn_until(&first.count, 1);
    turn_until(&second.count, 1);
    assert_true(first.loopback && second.loopback);
    assert_int_equal(1, first.port);
    assert_int_equal(2, second.port);
    assert_int_equal(1, stuck_asked());
    assert_int_equal(0, gone.count);

    expect_loopback(resolver, "stuck.made"); /* what was told is not kept */
    assert_int_equal(2, stuck_asked());
    resolver_free(resolver);
}

static void this_machine_waits_for_no_thread(void **state)
{
    (void)state;
    struct resolver *resolver = resolver_new(loop, 1);
    struct answer stuck = {0};
    hold();
    assert_non_null(ask(resolver, "stuck.made", &stuck));
    wait_until_stuck();
    expect_loopback(resolver, "localhost");
    expect_loopback(resolver, "desk.localhost");
    expect_loopback(resolver, "127.0.0.1");
    expect_loopback(resolver, "::1");
    let_go();
    turn_until(&stuck.count, 1);
    resolver_free(resolver);
}

static struct resolve_job *ask_made(struct resolver *resolver, int number, struct answer *answer)
{
    char host[32];
    (void)snprintf(host, sizeof host, "%d.made", number);
    return ask(resolver, host, answer);
}

static void many_names_share_few_threads(void **state)
{
    (void)state;
    enum { QUEUED = 1024 };
    static struct answer answers[QUEUED];
    struct resolver *resolver = resolver_new(loop, 1);
    struct resolve_job *jobs[QUEUED];
    struct answer stuck = {0}, joined = {0}, late = {0};
    hold();
    assert_non_null(ask(resolver, "stuck.made", &stuck));
    wait_until_stuck();
    for (int i = 0; i < QUEUED; i++) {
        jobs[i] = ask_made(resolver, i, &answers[i]);
        assert_non_null(jobs[i]);
    }
    assert_null(ask_made(resolver, QUEUED, &late));
    assert_non_null(ask_made(resolver, 7, &joined)); /* which takes no place */
    resolve_cancel(jobs[7]);
    assert_null(ask_made(resolver, QUEUED, &late));
    resolve_cancel(jobs[8]);
    assert_non_null(ask_made(resolver, QUEUED, &late));
    let_go();
    turn_until(&late.count, 1);
    assert_int_equal(1, stuck.count);
    assert_int_equal(1, joined.count);
    for (int i = 0; i < QUEUED; i++) {
        assert_int_equal(i != 7 && i != 8, answers[i].count);
    }
    resolver_free(resolver);
}

/* Whatever state each of them is in: queued, with the thread, or answered; alone or with others. */
static void a_cancelled_job_is_not_heard_of(void **state)
{
    (void)state;
    enum { JOBS = 30, NAMES = 20 };
    struct resolver *resolver = resolver_new(loop, 1);
    struct answer answers[JOBS] = {0};
    struct resolve_job *jobs[JOBS];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < JOBS; i++) {
            jobs[i] = ask_made(resolver, i % NAMES, &answers[i]);
            assert_non_null(jobs[i]);
        }
        for (int i = 0; i < JOBS - 1; i++) {
            resolve_cancel(jobs[i]);
        }
        turn_until(&answers[JOBS - 1].count, round + 1);
    }
    for (int i = 0; i < JOBS - 1; i++) {
        assert_int_equal(0, answers[i].count);
    }
    resolver_free(resolver);
}

/* Of one name and of three. */
static void an_answer_may_cancel_another(void **state)
{
    (void)state;
    for (int step = 0; step < 2; step++) {
        struct resolver *resolver = resolver_new(loop, 1);
        struct answer first = {0}, second = {0}, third = {0};
        assert_non_null(ask_made(resolver, 0, &first));
        first.cancels = ask_made(resolver, step, &second);
        assert_non_null(ask_made(resolver, 2 * step, &third));
        turn_until(&third.count, 1);
        assert_int_equal(1, first.count);
        assert_int_equal(0, second.count);
        resolver_free(resolver);
    }
}

/* While its other jobs wait for the same name, for another one, or for one that a thread has. */
static void an_answer_may_free_the_resolver(void **state)
{
    (void)state;
    for (int step = 0; step < 2; step++) {
        struct resolver *resolver = resolver_new(loop, 2);
        struct answer stuck = {0}, first = {.frees = resolver}, second = {0};
        hold();
        assert_non_null(ask(resolver, "stuck.made", &stuck));
        wait_until_stuck();
        assert_non_null(ask_made(resolver, 0, &first));
        assert_non_null(ask_made(resolver, step, &second));
        turn_until(&first.count, 1);
        let_go();
        loop_turn(loop, 0);
        assert_int_equal(0, second.count);
        assert_int_equal(0, stuck.count);
    }
}

static void freeing_waits_for_nobody(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct resolver *resolver = resolver_new(loop, 3);
        struct answer answer = {0};
        hold();
        assert_non_null(ask(resolver, "stuck.made", &answer));
        for (int i = 0; i < 10; i++) {
            assert_non_null(ask_made(resolver, i, &answer));
            assert_non_null(ask(resolver, "stuck.made", &answer));
        }
        wait_until_stuck();
        resolver_free(resolver);
        loop_turn(loop, 0);
        let_go();
        assert_int_equal(0, answer.count);
    }
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new(LOOP_POLL);
    return loop != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

int main(void)
{
    /* Where no name server can be reached, a look-up is to fail soon. */
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_is_found_by_any_name),
        cmocka_unit_test(a_name_that_is_not_there_is_an_error),
        cmocka_unit_test(a_stuck_name_holds_one_thread),
        cmocka_unit_test(this_machine_waits_for_no_thread),
        cmocka_unit_test(many_names_share_few_threads),
        cmocka_unit_test(a_cancelled_job_is_not_heard_of),
        cmocka_unit_test(an_answer_may_cancel_another),
        cmocka_unit_test(an_answer_may_free_the_resolver),
        cmocka_unit_test(freeing_waits_for_nobody),
    };
    return cmocka_run_group_tests_name("resolve", tests, set_up, tear_down);
}
