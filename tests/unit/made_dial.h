/* Dialing from a test: a loop and a wheel of its own, and what came of a dial. Whatever fails here aborts. */
#ifndef SLUICE_TESTS_MADE_DIAL_H
#define SLUICE_TESTS_MADE_DIAL_H

#include "made_certs.h"
#include "made_target.h"
#include "net/dial_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20 * 1000 };

extern struct loop *loop;
extern struct wheel wheel;
extern struct dial_host host;
extern struct tls_server *tls_server; /* of localhost, by the authority in ca.crt */
extern char why[TLS_WHY_MAX];
/* What the dials to come send first. */
extern const char *prelude;
extern size_t prelude_bytes;
/* Which addresses they may have; NULL: what is built in. */
extern const struct egress *egress;

struct outcome {
    int count;
    enum dial_status status;
    struct transport *transport;
    char detail[DIAL_DETAIL_MAX];
};

void turn(int cap_ms);
void turn_until_told(const struct outcome *outcome);
struct dial *start(const char *target, struct tls_client *tls, uint64_t timeout_ms, struct outcome *outcome);
struct outcome dial_target(const char *target, struct tls_client *tls, uint64_t timeout_ms);
void expect_fault(const struct outcome *outcome, enum dial_status status, const char *detail);
void end_connection(struct outcome *outcome);

/* One that trusts the authority and expects this name. */
struct tls_client *client_for(const char *name);

int open_descriptors(void);
/* A look-up that nobody waits for any more ends in its thread, and lets its descriptors go only then. */
void expect_descriptors(int wanted);

/* For the group, and for each test. */
int dial_set_up(void **state);
int dial_tear_down(void **state);
int with_poll(void **state);
int with_epoll(void **state);
int without_loop(void **state);

#define ON_BOTH(test)                                                                                        \
    {#test " (poll)", test, with_poll, without_loop, NULL},                                                  \
    {                                                                                                        \
#test " (epoll)", test, with_epoll, without_loop, NULL                                               \
    }

#endif
