/* serve/admin: the process, over real sockets, with workers that the test plays. */
#include "net/sock.h"
#include "serve/admin.h"
#include "serve/control.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 60 * 1000, CONNECTIONS_MAX = 64 };

static struct board board;
static struct rules rules;
static struct log quiet;
static pid_t admin_pid;
static int control;   /* our end, as the supervisor */
static int listening; /* ours too */
static uint16_t port;

static void readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    assert_int_equal(1, poll(&one, 1, WAIT_MS));
}

static struct control_message receive(int end)
{
    struct control_message message;
    int fd = -1;
    readable(end);
    assert_int_equal(CONTROL_GOT, control_receive(end, &message, &fd));
    assert_int_equal(-1, fd);
    return message;
}

/* The admin process runs in a child: it blocks, and its board is shared memory. It accepts nobody yet. */
static int begin(void **state)
{
    (void)state;
    struct endpoint any = {.kind = ENDPOINT_INET, .host = "127.0.0.1"};
    char bound[ENDPOINT_TEXT_MAX], why[SOCK_TEXT_MAX];
    int ends[2];
    rules = (struct rules){.admin = {.on = true}};
    log_init(&quiet, LOG_ERROR, LOG_TEXT);
    listening = sock_listen(&any, SOCK_ALONE, bound, why);
    if (!board_init(&board) || listening < 0 || !control_pair(ends)) {
        return -1;
    }
    port = (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
    (void)board_row(&board, "desk");
    control = ends[0];
    admin_pid = fork();
    if (admin_pid == 0) {
        close(ends[0]);
        int status = admin_run(&rules, &quiet, &board, listening, ends[1]);
        log_fini(&quiet);
        board_fini(&board);
        close(ends[1]);
        close(listening);
        exit(status);
    }
    close(ends[1]);
    return admin_pid > 0 && receive(control).kind == CONTROL_READY ? 0 : -1;
}

static bool let_serve(void)
{
    struct control_message serve = {.kind = CONTROL_SERVE};
    return control_send(control, &serve, -1);
}

static int start(void **state)
{
    return begin(state) == 0 && let_serve() ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    int status = -1;
    close(control);
    close(listening);
    pid_t ended = waitpid(admin_pid, &status, 0);
    board_fini(&board);
    log_fini(&quiet);
    return ended == admin_pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* A worker in a slot: our end of the pair to it. */
static int add_worker(unsigned slot)
{
    int ends[2];
    assert_true(control_pair(ends));
    struct control_message message = {.kind = CONTROL_WORKER, .slot = slot};
    atomic_store(&board.head->slots[slot].pid, (int32_t)(1000 + slot));
    if (atomic_load(&board.head->slots_used) <= slot) {
        atomic_store(&board.head->slots_used, slot + 1);
    }
    assert_true(control_send(control, &message, ends[1]));
    close(ends[1]);
    return ends[0];
}

static int connect_there(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(0, connect(fd, (const struct sockaddr *)&address, sizeof address));
    return fd;
}

static int send_request(const char *line, const char *headers)
{
    char text[1024];
    int fd = connect_there();
    int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", line, headers);
    assert_int_equal(len, send(fd, text, (size_t)len, MSG_NOSIGNAL));
    return fd;
}

/* All of the answer, up to its end in order; closes. */
static const char *receive_answer(int fd)
{
    static char text[1 << 20];
    size_t len = 0;
    for (;;) {
        readable(fd);
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        assert_true(n >= 0);
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    text[len] = '\0';
    close(fd);
    return text;
}

static void answers(int fd, const char *status, const char *body)
{
    const char *text = receive_answer(fd);
    const char *found = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.1 ", 9) != 0 || strncmp(text + 9, status, strlen(status)) != 0 ||
        found == NULL || strcmp(found + 4, body) != 0 || strstr(text, "\r\nConnection: close\r\n") == NULL) {
        fail_msg("not %s \"%s\" but:\n%s", status, body, text);
    }
}

static void list_answer(int worker, const struct control_message *question, const char *lines, uint64_t count)
{
    int fd = memfd_create("list", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal((ssize_t)strlen(lines), write(fd, lines, strlen(lines)));
    struct control_message message = {
        .kind = CONTROL_LISTED, .slot = question->slot, .request = question->request, .count = count};
    assert_true(control_send(worker, &message, fd));
    close(fd);
}

static void health_and_readiness(void **state)
{
    (void)state;
    answers(send_request("GET /healthz", ""), "200", "ok\n");
    answers(send_request("HEAD /healthz", ""), "200", "");
    answers(send_request("GET /readyz", ""), "503", "no worker is ready\n");
    atomic_store(&board.head->workers, 1);
    answers(send_request("GET /readyz", ""), "200", "ready\n");
    atomic_store(&board.head->draining, true);
    answers(send_request("GET /readyz", ""), "503", "draining\n");
    answers(send_request("GET /healthz", "Origin: http://a.example\r\n"), "403",
        "requests of web pages (with an Origin header) are not taken here\n");
}

static void metrics_and_workers(void **state)
{
    (void)state;
    const char *text = receive_answer(send_request("GET /metrics", ""));
    assert_non_null(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(text, "\nsluice_sessions{route=\"desk\"} 0\n"));
    int worker = add_worker(1);
    atomic_store(&board.head->slots[1].generation, 3);
    atomic_store(&board.head->slots[1].retired, true);
    atomic_store(&board.head->slots[1].started_s, 1);
    tally_add(&board.tallies[1].sessions, 5);
    answers(send_request("GET /workers", ""), "200",
        "[{\"pid\":1001,\"slot\":1,\"generation\":3,\"index\":0,\"ready\":false,\"retired\":true,"
        "\"sessions\":5,"
        "\"connections\":0,\"started\":\"1970-01-01T00:00:01.000Z\"}]\n");
    close(worker);
}

static void sessions_of_all_workers(void **state)
{
    (void)state;
    int a = add_worker(0), b = add_worker(5);
    int client = send_request("GET /sessions?route=desk&client=10.0.0.0/8", "");
    struct control_message first = receive(a), second = receive(b);
    assert_int_equal(CONTROL_LIST, first.kind);
    assert_int_equal(5, second.slot);
    assert_int_equal(first.request, second.request);
    assert_string_equal("desk", second.filter.route);
    assert_string_equal("10.0.0.0/8", second.filter.client);
    list_answer(b, &second, "{\"id\":\"b1\"}\n{\"id\":\"b2\"}\n", 2);
    list_answer(a, &first, "", 0);
    answers(client, "200", "{\"sessions\":[{\"id\":\"b1\"},\n{\"id\":\"b2\"}],\"silent_workers\":[]}\n");
    close(a);
    close(b);
}

static void a_table_of_sessions(void **state)
{
    (void)state;
    int a = add_worker(0);
    int client = send_request("GET /sessions", "Accept: text/plain\r\n");
    struct control_message question = receive(a);
    list_answer(a, &question, "{\"id\":\"a1\"}\n", 1);
    const char *text = receive_answer(client);
    assert_non_null(strstr(text, "\r\n\r\nid\tclient\t"));
    assert_non_null(strstr(text, "\na1\t-\t"));
    close(a);
}

static void one_session(void **state)
{
    (void)state;
    int a = add_worker(0);
    int client = send_request("GET /sessions/00000000000000a1", "");
    struct control_message question = receive(a);
    assert_int_equal(0xA1, question.filter.id);
    list_answer(a, &question, "{\"id\":\"00000000000000a1\"}\n", 1);
    answers(client, "200", "{\"id\":\"00000000000000a1\"}\n");
    client = send_request("GET /sessions/00000000000000a2", "");
    question = receive(a);
    list_answer(a, &question, "", 0);
    answers(client, "404", "no session has this id\n");
    close(a);
}

static void killing(void **state)
{
    (void)state;
    int a = add_worker(0), b = add_worker(1);
    int client = send_request("DELETE /sessions?route=desk", "");
    for (int i = 0; i < 2; i++) {
        struct control_message question = receive(i == 0 ? a : b);
        assert_int_equal(CONTROL_KILL, question.kind);
        assert_string_equal("desk", question.filter.route);
        struct control_message answer = {.kind = CONTROL_KILLED, .request = question.request, .count = 3};
        assert_true(control_send(i == 0 ? a : b, &answer, -1));
    }
    answers(client, "200", "{\"ended\":6,\"silent_workers\":[]}\n");
    client = send_request("DELETE /sessions/00000000000000a1", "Accept: text/plain\r\n");
    for (int i = 0; i < 2; i++) {
        struct control_message question = receive(i == 0 ? a : b);
        assert_int_equal(0xA1, question.filter.id);
        struct control_message answer = {.kind = CONTROL_KILLED, .request = question.request};
        assert_true(control_send(i == 0 ? a : b, &answer, -1));
    }
    answers(client, "404", "no session has this id\n");
    close(a);
    close(b);
}

static void who_is_silent_is_named(void **state)
{
    (void)state;
    int a = add_worker(0), b = add_worker(1);
    int list = send_request("GET /sessions", "");
    int one = send_request("GET /sessions/00000000000000a1", "");
    for (int i = 0; i < 2; i++) {
        struct control_message question = receive(a);
        list_answer(a, &question, question.filter.id == 0 ? "{\"id\":\"a\"}\n" : "", 1);
    }
    answers(list, "200", "{\"sessions\":[{\"id\":\"a\"}],\"silent_workers\":[1001]}\n");
    answers(one, "504", "a worker did not answer; none of the others has a session with this id\n");
    close(a);
    close(b);
}

static void a_worker_that_dies_is_not_waited_for(void **state)
{
    (void)state;
    int a = add_worker(0), b = add_worker(1);
    int client = send_request("GET /sessions", "");
    struct control_message question = receive(a);
    (void)receive(b);
    close(b);
    list_answer(a, &question, "{\"id\":\"a\"}\n", 1);
    answers(client, "200", "{\"sessions\":[{\"id\":\"a\"}],\"silent_workers\":[]}\n");
    /* another one takes its slot */
    b = add_worker(1);
    client = send_request("GET /sessions", "");
    question = receive(b);
    list_answer(b, &question, "{\"id\":\"b\"}\n", 1);
    question = receive(a);
    list_answer(a, &question, "", 0);
    answers(client, "200", "{\"sessions\":[{\"id\":\"b\"}],\"silent_workers\":[]}\n");
    close(a);
    close(b);
}

/* A worker reads from the network, so what it answers is looked at: a pipe could block us, a line could be
 * no JSON, an answer could be to something else. */
/* Who is there from the start is asked, however early the question came. */
static void workers_are_named_before_it_serves(void **state)
{
    (void)state;
    int client = send_request("GET /sessions", "");
    struct pollfd early = {.fd = client, .events = POLLIN};
    assert_int_equal(0, poll(&early, 1, 50));
    int a = add_worker(0);
    assert_true(let_serve());
    struct control_message question = receive(a);
    list_answer(a, &question, "{\"id\":\"a\"}\n", 1);
    answers(client, "200", "{\"sessions\":[{\"id\":\"a\"}],\"silent_workers\":[]}\n");
    close(a);
}

/* One that serves and has no pair to us is not passed over, unless it is gone when time is up. */
static void a_worker_without_a_pair_is_silent(void **state)
{
    (void)state;
    struct board_slot *slots = board.head->slots;
    int a = add_worker(0);
    for (unsigned slot = 1; slot < 4; slot++) {
        atomic_store(&slots[slot].pid, (int32_t)(1000 + slot));
        atomic_store(&slots[slot].ready, slot != 3); /* 3 has not begun */
    }
    int client = send_request("GET /sessions", "");
    struct control_message question = receive(a);
    atomic_store(&slots[2].pid, 0);
    list_answer(a, &question, "", 0);
    answers(client, "200", "{\"sessions\":[],\"silent_workers\":[1001]}\n");
    close(a);
}

static void a_worker_that_answers_nonsense(void **state)
{
    (void)state;
    int a = add_worker(0), b = add_worker(1), ends[2];
    int client = send_request("GET /sessions", "");
    struct control_message question = receive(a);
    struct control_message answer = {.kind = CONTROL_LISTED, .request = question.request + 7};
    assert_true(control_send(a, &answer, -1));
    assert_int_equal(0, pipe(ends));
    answer.request = question.request;
    assert_true(control_send(a, &answer, ends[0]));
    close(ends[0]);
    close(ends[1]);
    assert_true(control_send(a, &answer, -1)); /* once more: nobody waits for it */
    question = receive(b);
    list_answer(b, &question, "{\"id\":\"b\"\n],{}\n{\"id\":\"c\"}\n", 99);
    answers(client, "200", "{\"sessions\":[{\"id\":\"c\"}],\"silent_workers\":[1000]}\n");
    close(a);
    close(b);
}

static void many_questions_at_once(void **state)
{
    (void)state;
    enum { AT_ONCE = 8 };
    int a = add_worker(0), clients[AT_ONCE];
    struct control_message questions[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        clients[i] = send_request("GET /sessions", "");
        questions[i] = receive(a);
    }
    const char *text = receive_answer(send_request("GET /sessions", ""));
    assert_int_equal(0, strncmp(text, "HTTP/1.1 503 ", 13));
    assert_non_null(strstr(text, "\r\nRetry-After: "));
    for (int i = AT_ONCE - 1; i >= 0; i--) {
        list_answer(a, &questions[i], "", 0);
        answers(clients[i], "200", "{\"sessions\":[],\"silent_workers\":[]}\n");
    }
    close(a);
}

/* The one that has been silent for longest goes when there are too many: no crowd keeps a probe waiting. */
static void connections_are_bounded(void **state)
{
    (void)state;
    int idle[CONNECTIONS_MAX];
    char byte;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        idle[i] = connect_there();
        assert_int_equal(4, send(idle[i], "GET ", 4, MSG_NOSIGNAL));
    }
    answers(send_request("GET /healthz", ""), "200", "ok\n");
    assert_true(recv(idle[0], &byte, 1, 0) <= 0);
    assert_int_equal(-1, recv(idle[CONNECTIONS_MAX - 1], &byte, 1, MSG_DONTWAIT));
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        close(idle[i]);
    }
}

static void requests_are_bounded_and_strict(void **state)
{
    (void)state;
    static char headers[9000];
    memset(headers, 'a', sizeof headers - 1);
    memcpy(headers, "X: ", 3);
    int fd = connect_there();
    static const char line[] = "GET /healthz HTTP/1.1\r\n";
    assert_int_equal(sizeof line - 1, send(fd, line, sizeof line - 1, MSG_NOSIGNAL));
    assert_int_equal(sizeof headers - 1, send(fd, headers, sizeof headers - 1, MSG_NOSIGNAL));
    answers(fd, "431", "request header is over the limit\n");
    fd = connect_there();
    assert_int_equal(16, send(fd, "GET /healthz\r\n\r\n", 16, MSG_NOSIGNAL));
    answers(fd, "400", "request line is not METHOD TARGET HTTP/1.1\n");
}

static void a_request_in_pieces(void **state)
{
    (void)state;
    static const char whole[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (size_t split = 1; split < sizeof whole - 1; split += 5) {
        int fd = connect_there();
        assert_int_equal((ssize_t)split, send(fd, whole, split, MSG_NOSIGNAL));
        size_t rest = sizeof whole - 1 - split;
        assert_int_equal((ssize_t)rest, send(fd, whole + split, rest, MSG_NOSIGNAL));
        answers(fd, "200", "ok\n");
    }
}

static void signals_do_not_end_it(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        assert_int_equal(0, kill(admin_pid, signals[i]));
    }
    answers(send_request("GET /healthz", ""), "200", "ok\n");
}

/* Its end while connections and questions are under way; `stop` looks at its exit status. */
static void the_end_comes_in_between(void **state)
{
    (void)state;
    int a = add_worker(0);
    int client = send_request("GET /sessions", ""), idle = connect_there();
    (void)receive(a);
    close(control);
    readable(client);
    char byte;
    assert_int_equal(0, recv(client, &byte, 1, 0));
    close(client);
    close(idle);
    close(a);
    control = -1;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(health_and_readiness),
        CASE(metrics_and_workers),
        CASE(sessions_of_all_workers),
        CASE(a_table_of_sessions),
        CASE(one_session),
        CASE(killing),
        CASE(who_is_silent_is_named),
        CASE(a_worker_without_a_pair_is_silent),
        cmocka_unit_test_setup_teardown(workers_are_named_before_it_serves, begin, stop),
        CASE(a_worker_that_dies_is_not_waited_for),
        CASE(a_worker_that_answers_nonsense),
        CASE(many_questions_at_once),
        CASE(connections_are_bounded),
        CASE(requests_are_bounded_and_strict),
        CASE(a_request_in_pieces),
        CASE(signals_do_not_end_it),
        CASE(the_end_comes_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
