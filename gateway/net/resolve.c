#include "net/resolve.h"
#include "base/list.h"
#include "base/slice.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_MAX = 1024 };

/* One name. The loop's side makes it, and frees it unless a thread has it while the desk closes. */
struct lookup {
    struct list link; /* the queue's or the answers'; a ring of its own while a thread has it */
    struct list name; /* the loop's side alone, as are the jobs */
    struct list jobs; /* who waits for it: maybe nobody, once a thread has it */
    struct desk *desk;
    bool queued;
    bool is_localhost; /* which has no `addresses` of its own */
    int error;
    struct addrinfo *addresses;
    char host[];
};

struct resolve_job {
    struct list link;
    struct lookup *lookup;
    resolve_done_fn *done;
    void *context;
    uint16_t port;
};

/* What the loop's side and the threads share. The last of them frees it, so that nobody waits for a thread
 * that is stuck in a look-up. */
struct desk {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list names; /* the loop's side alone: all look-ups that a job may still join */
    struct list queue;
    struct list answers;
    size_t queued;
    unsigned users; /* threads, and the loop's side */
    unsigned threads, idle;
    bool closed;
    int wake_fd; /* eventfd; open as long as the desk is there */
};

struct resolver {
    struct loop *loop;
    struct loop_watch watch;
    struct desk *desk;
    unsigned threads_max;
};

static void lookup_free(struct lookup *lookup)
{
    while (!list_empty(&lookup->jobs)) {
        struct list *job = lookup->jobs.next;
        list_remove(job);
        free(CONTAINER_OF(job, struct resolve_job, link));
    }
    if (lookup->addresses != NULL) {
        freeaddrinfo(lookup->addresses);
    }
    free(lookup);
}

/* Gives one use up; call with the lock held, it is released. */
static void desk_leave(struct desk *desk)
{
    bool last = --desk->users == 0;
    pthread_mutex_unlock(&desk->lock);
    if (!last) {
        return;
    }
    close(desk->wake_fd);
    pthread_cond_destroy(&desk->work);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

/* With the lock held. */
static void hand_in(struct desk *desk, struct lookup *lookup)
{
    list_push_back(&desk->answers, &lookup->link);
    const uint64_t one = 1;
    /* It fails only where 2^64 - 2 wakes are waiting. */
    ssize_t written = write(desk->wake_fd, &one, sizeof one);
    (void)written;
}

/* ---- A thread. */

/* AI_ADDRCONFIG spares the families that this machine has no address of. But loopback does not count there,
 * and so it hides names that mean this machine, or the only address that a hosts file gives: those are asked
 * for once more without it. */
static int look_up(const char *host, struct addrinfo **addresses)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int error = getaddrinfo(host, NULL, &hints, addresses);
    if (error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY) {
        hints.ai_flags = 0;
        error = getaddrinfo(host, NULL, &hints, addresses);
    }
    /* errno is this thread's, so what it says has to be told now. */
    bool is_ours = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    return error == EAI_SYSTEM && is_ours ? EAI_MEMORY : error;
}

/* The lock is held on both sides of it. */
static void serve(struct desk *desk)
{
    struct lookup *lookup = CONTAINER_OF(desk->queue.next, struct lookup, link);
    list_remove(&lookup->link);
    lookup->queued = false;
    desk->queued--;
    pthread_mutex_unlock(&desk->lock);
    struct addrinfo *addresses = NULL;
    int error = look_up(lookup->host, &addresses);
    pthread_mutex_lock(&desk->lock);
    lookup->error = error;
    lookup->addresses = error == 0 ? addresses : NULL;
    if (desk->closed) {
        lookup_free(lookup);
    } else {
        hand_in(desk, lookup);
    }
}

static void *thread_main(void *argument)
{
    struct desk *desk = argument;
    pthread_mutex_lock(&desk->lock);
    while (!desk->closed) {
        if (list_empty(&desk->queue)) {
            desk->idle++;
            pthread_cond_wait(&desk->work, &desk->lock);
            desk->idle--;
        } else {
            serve(desk);
        }
    }
    desk_leave(desk);
    return NULL;
}

/* With the lock held. The thread takes no signals: they are the loop's. */
static bool start_thread(struct desk *desk)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, thread_main, desk) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (started) {
        desk->threads++;
        desk->users++;
    }
    return started;
}

/* ---- The loop's side. */

static void set_port(struct addrinfo *addresses, uint16_t port)
{
    for (struct addrinfo *one = addresses; one != NULL; one = one->ai_next) {
        if (one->ai_family == AF_INET) {
            ((struct sockaddr_in *)(void *)one->ai_addr)->sin_port = htons(port);
        } else if (one->ai_family == AF_INET6) {
            ((struct sockaddr_in6 *)(void *)one->ai_addr)->sin6_port = htons(port);
        }
    }
}

struct loopback {
    struct addrinfo v4, v6;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* IPv4 first: there is no machine without it, and most that listens on loopback listens there. */
static struct addrinfo *loopback_init(struct loopback *l)
{
    l->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    l->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    l->v4 = (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_next = &l->v6};
    l->v4.ai_addr = (struct sockaddr *)(void *)&l->in;
    l->v4.ai_addrlen = sizeof l->in;
    l->v6 = (struct addrinfo){.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM};
    l->v6.ai_addr = (struct sockaddr *)(void *)&l->in6;
    l->v6.ai_addrlen = sizeof l->in6;
    return &l->v4;
}

/* Whoever hears it may start and cancel jobs, and free the resolver. */
static void tell(struct lookup *lookup)
{
    struct loopback loopback;
    struct addrinfo *addresses = lookup->is_localhost ? loopback_init(&loopback) : lookup->addresses;
    list_remove(&lookup->name); /* who asks from here on gets a look-up of its own */
    while (!lookup->desk->closed && !list_empty(&lookup->jobs)) {
        struct resolve_job *job = CONTAINER_OF(lookup->jobs.next, struct resolve_job, link);
        const struct resolve_job told = *job;
        list_remove(&job->link);
        free(job);
        set_port(addresses, told.port);
        told.done(told.context, lookup->error, addresses);
    }
    lookup_free(lookup);
}

static void on_answers(struct loop_watch *watch, unsigned ready)
{
    (void)ready;
    struct desk *desk = CONTAINER_OF(watch, struct resolver, watch)->desk;
    uint64_t count;
    ssize_t got = read(desk->wake_fd, &count, sizeof count);
    (void)got; /* nothing to be had: then there are no answers either */
    struct list answers;
    pthread_mutex_lock(&desk->lock);
    desk->users++; /* the resolver may be freed by whom it answers */
    list_move(&desk->answers, &answers);
    pthread_mutex_unlock(&desk->lock);
    while (!list_empty(&answers)) {
        struct lookup *lookup = CONTAINER_OF(answers.next, struct lookup, link);
        list_remove(&lookup->link);
        tell(lookup);
    }
    pthread_mutex_lock(&desk->lock);
    desk_leave(desk);
}

static struct desk *desk_new(void)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (desk == NULL) {
        return NULL;
    }
    desk->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (desk->wake_fd < 0) {
        free(desk);
        return NULL;
    }
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->work, NULL);
    list_init(&desk->names);
    list_init(&desk->queue);
    list_init(&desk->answers);
    desk->users = 1;
    return desk;
}

struct resolver *resolver_new(struct loop *loop, unsigned threads_max)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    struct desk *desk = resolver != NULL ? desk_new() : NULL;
    if (desk == NULL) {
        free(resolver);
        return NULL;
    }
    *resolver =
        (struct resolver){.loop = loop, .desk = desk, .threads_max = threads_max > 0 ? threads_max : 1};
    loop_watch_init(&resolver->watch, desk->wake_fd, on_answers);
    if (!loop_want(loop, &resolver->watch, LOOP_READ)) {
        pthread_mutex_lock(&desk->lock);
        desk_leave(desk);
        free(resolver);
        return NULL;
    }
    return resolver;
}

static void free_all(struct list *lookups)
{
    while (!list_empty(lookups)) {
        struct lookup *lookup = CONTAINER_OF(lookups->next, struct lookup, link);
        list_remove(&lookup->link);
        lookup_free(lookup);
    }
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL) {
        return;
    }
    struct desk *desk = resolver->desk;
    loop_forget(resolver->loop, &resolver->watch);
    free(resolver);
    pthread_mutex_lock(&desk->lock);
    desk->closed = true;
    while (!list_empty(&desk->names)) {
        list_remove(desk->names.next); /* those that threads have are theirs from here on */
    }
    free_all(&desk->queue);
    free_all(&desk->answers);
    pthread_cond_broadcast(&desk->work);
    desk_leave(desk);
}

static bool is_localhost(const char *host)
{
    struct slice name = slice_from(host);
    if (name.len > 0 && name.p[name.len - 1] == '.') {
        name.len--;
    }
    return slice_eq_nocase(name, SLICE("localhost")) || slice_ends_nocase(name, SLICE(".localhost"));
}

/* What needs no file and no server to be asked; false: a name. */
static bool look_up_here(struct lookup *lookup)
{
    const struct addrinfo numeric = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    lookup->is_localhost = is_localhost(lookup->host);
    if (lookup->is_localhost) {
        return true;
    }
    struct addrinfo *addresses = NULL;
    lookup->error = getaddrinfo(lookup->host, NULL, &numeric, &addresses);
    lookup->addresses = lookup->error == 0 ? addresses : NULL;
    return lookup->error != EAI_NONAME;
}

/* False when it is not taken. */
static bool enqueue(struct resolver *resolver, struct lookup *lookup)
{
    struct desk *desk = resolver->desk;
    pthread_mutex_lock(&desk->lock);
    bool taken = desk->queued < QUEUE_MAX;
    /* A woken thread counts as idle until it runs: so by the queue, not by `idle` alone. */
    if (taken && desk->queued >= desk->idle && desk->threads < resolver->threads_max) {
        taken = start_thread(desk) || desk->threads > 0;
    }
    if (taken) {
        lookup->queued = true;
        list_push_back(&desk->queue, &lookup->link);
        desk->queued++;
        pthread_cond_signal(&desk->work);
    }
    pthread_mutex_unlock(&desk->lock);
    return taken;
}

static struct lookup *lookup_start(struct resolver *resolver, const char *host)
{
    struct desk *desk = resolver->desk;
    size_t size = strlen(host) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + size);
    if (lookup == NULL) {
        return NULL;
    }
    lookup->desk = desk;
    memcpy(lookup->host, host, size);
    list_init(&lookup->link);
    list_init(&lookup->name);
    list_init(&lookup->jobs);
    if (look_up_here(lookup)) {
        pthread_mutex_lock(&desk->lock);
        hand_in(desk, lookup);
        pthread_mutex_unlock(&desk->lock);
    } else if (!enqueue(resolver, lookup)) {
        lookup_free(lookup);
        return NULL;
    }
    list_push_back(&desk->names, &lookup->name);
    return lookup;
}

static struct lookup *lookup_find(const struct desk *desk, const char *host)
{
    for (struct list *at = desk->names.next; at != &desk->names; at = at->next) {
        struct lookup *lookup = CONTAINER_OF(at, struct lookup, name);
        if (strcasecmp(lookup->host, host) == 0) {
            return lookup;
        }
    }
    return NULL;
}

struct resolve_job *resolve_start(
    struct resolver *resolver, const char *host, uint16_t port, resolve_done_fn *done, void *context)
{
    struct resolve_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    struct lookup *lookup = lookup_find(resolver->desk, host);
    if (lookup == NULL) {
        lookup = lookup_start(resolver, host);
    }
    if (lookup == NULL) {
        free(job);
        return NULL;
    }
    *job = (struct resolve_job){.lookup = lookup, .done = done, .context = context, .port = port};
    list_push_back(&lookup->jobs, &job->link);
    return job;
}

/* A look-up that a thread has goes on without its last job, for the next one that asks. */
void resolve_cancel(struct resolve_job *job)
{
    struct lookup *lookup = job->lookup;
    struct desk *desk = lookup->desk;
    list_remove(&job->link);
    free(job);
    if (!list_empty(&lookup->jobs)) {
        return;
    }
    pthread_mutex_lock(&desk->lock);
    bool queued = lookup->queued;
    if (queued) {
        desk->queued--;
        list_remove(&lookup->link);
    }
    pthread_mutex_unlock(&desk->lock);
    if (queued) {
        list_remove(&lookup->name);
        lookup_free(lookup);
    }
}
