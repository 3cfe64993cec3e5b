#include "base/log_limit.h"

enum { NS_PER_MS = 1000000 };

struct log_limit log_limit_of(uint32_t count, uint32_t per_ms)
{
    if (count == 0) {
        return (struct log_limit){0};
    }
    uint64_t interval_ns = (uint64_t)per_ms * NS_PER_MS / count;
    return (struct log_limit){interval_ns, interval_ns * (count - 1)};
}

bool log_limit_take(const struct log_limit *limit, _Atomic uint64_t *tat_ns, uint64_t now_ns)
{
    if (limit->interval_ns == 0) {
        return true;
    }
    uint64_t last_ns = now_ns + limit->burst_ns;
    uint64_t furthest_ns = last_ns + limit->interval_ns; /* where this limit itself can leave the word */
    uint64_t was = atomic_load_explicit(tat_ns, memory_order_relaxed);
    uint64_t next;
    bool taken;
    do {
        taken = was <= last_ns;
        if (!taken && was <= furthest_ns) {
            return false;
        }
        next = taken ? (was > now_ns ? was : now_ns) + limit->interval_ns : furthest_ns;
    } while (!atomic_compare_exchange_weak_explicit(
        tat_ns, &was, next, memory_order_relaxed, memory_order_relaxed));
    return taken;
}
