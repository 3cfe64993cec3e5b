#include "serve/notify.h"
#include "base/slice.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 512, US_A_MS = 1000 };

/* A path, or with '@' in front a name in the abstract namespace. */
static bool read_address(struct notify *notify, const char *text)
{
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof notify->address.sun_path) {
        return false;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, text, len);
    if (text[0] == '@') {
        notify->address.sun_path[0] = '\0';
    }
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static uint64_t read_watchdog_ms(void)
{
    const char *us = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t value = 0;
    if (us == NULL || !slice_to_u64(slice_from(us), UINT64_MAX, &value)) {
        return 0;
    }
    uint64_t whose = (uint64_t)getpid();
    if (pid != NULL && (!slice_to_u64(slice_from(pid), INT32_MAX, &whose) || whose != (uint64_t)getpid())) {
        return 0;
    }
    return value / US_A_MS;
}

void notify_init(struct notify *notify)
{
    *notify = (struct notify){.fd = -1};
    const char *address = getenv("NOTIFY_SOCKET");
    if (address != NULL && read_address(notify, address)) {
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        notify->watchdog_ms = notify->fd >= 0 ? read_watchdog_ms() : 0;
    }
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void notify_fini(struct notify *notify)
{
    if (notify->fd >= 0) {
        close(notify->fd);
        notify->fd = -1;
    }
}

void notify_say(const struct notify *notify, const char *format, ...)
{
    if (notify->fd < 0) {
        return;
    }
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (len > 0) {
        size_t bytes = (size_t)len < sizeof message ? (size_t)len : sizeof message - 1;
        (void)sendto(notify->fd, message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT,
            (const struct sockaddr *)&notify->address, notify->address_len);
    }
}
