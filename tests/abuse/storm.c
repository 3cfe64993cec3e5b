/* Connections that go away at once, half with FIN and half with RST:
 *
 *   storm PORT A_SECOND MS
 *
 * Addresses of the loopback's net are used in turn, as each has some 28,000 ports and a FIN keeps one for a
 * minute. Prints how many were made, and how many a second that is. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { BURST = 100, AN_ADDRESS = 2000, ADDRESSES = 200, NAP_NS = 500000, S_NS = 1000000000, MS_NS = 1000000 };

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * S_NS + (uint64_t)now.tv_nsec;
}

static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host)};
}

static void come_and_go(uint16_t port, unsigned long number)
{
    struct sockaddr_in from = loopback(256 * (1 + (uint32_t)(number / AN_ADDRESS % ADDRESSES)), 0);
    struct sockaddr_in to = loopback(0, port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        perror("storm");
        exit(1);
    }
    if (number % 2 != 0) {
        struct linger reset = {.l_onoff = 1};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("storm: see the head of tests/abuse/storm.c for what can be said\n", stderr);
        return 2;
    }
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    uint64_t a_second = strtoull(argv[2], NULL, 10);
    uint64_t began_ns = now_ns();
    uint64_t end_ns = began_ns + strtoull(argv[3], NULL, 10) * MS_NS;
    unsigned long made = 0;
    for (uint64_t now = began_ns; now < end_ns; now = now_ns()) {
        uint64_t due = (now - began_ns) * a_second / S_NS;
        for (int i = 0; i < BURST && made < due; i++) {
            come_and_go(port, made++);
        }
        if (made >= due) {
            (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
        }
    }
    uint64_t took_ms = (now_ns() - began_ns) / MS_NS;
    printf("%lu connections that went away at once: %lu a second\n", made, made * 1000 / took_ms);
    return 0;
}
