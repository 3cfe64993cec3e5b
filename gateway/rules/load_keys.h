/* Rows of the loader's tables that more than one mapping has. */
#ifndef SLUICE_RULES_LOAD_KEYS_H
#define SLUICE_RULES_LOAD_KEYS_H

#include "rules/load_internal.h"

enum {
    DURATION_LEAST_MS = 1,
    REQUEST_LEAST = 512,
    REQUEST_MOST = 1 << 20,
    BUFFER_LEAST = 4 << 10,
    BUFFER_MOST = 16 << 20,
    COUNT_MOST = 1000000000,
    RATE_LEAST = 1 << 10,
};

#define DURATION_MOST_MS (30ull * 24 * 60 * 60 * 1000)
#define MESSAGE_MOST     (1ull << 40)
#define RATE_MOST        (1ull << 40)

#define KEY_DURATION(key, type, member, off)                                                                 \
    {                                                                                                        \
        .name = (key), .load = load_duration, .offset = offsetof(type, member), .least = DURATION_LEAST_MS,  \
        .most = DURATION_MOST_MS, .may_be_off = (off)                                                        \
    }

#define KEY_COUNT(key, type, member)                                                                         \
    {                                                                                                        \
        .name = (key), .load = load_count, .offset = offsetof(type, member), .least = 1, .most = COUNT_MOST, \
        .may_be_off = true                                                                                   \
    }

#define KEY_WORD(key, type, member, table)                                                                   \
    {                                                                                                        \
        .name = (key), .load = load_word, .offset = offsetof(type, member), .words = (table)                 \
    }

#define KEY_REFUSED(key, why)                                                                                \
    {                                                                                                        \
        .name = (key), .refusal = (why)                                                                      \
    }

/* A file, with the place that goes with it. */
#define KEY_PATH(key, type, member, place)                                                                   \
    {                                                                                                        \
        .name = (key), .load = load_path, .offset = offsetof(type, member), .has_place = true,               \
        .place_offset = offsetof(type, place)                                                                \
    }

#define KEY_RATE(key, type, member)                                                                          \
    {                                                                                                        \
        .name = (key), .load = load_rate, .offset = offsetof(type, member)                                   \
    }

/* `limits.rate`, at the offset of a struct route_limits. */
#define KEY_LIMITS_RATE(limits_offset)                                                                       \
    {                                                                                                        \
        .name = "rate", .load = load_mapping, .offset = (limits_offset), .keys = load_rate_keys              \
    }

/* One value or several, into the array `member` and its `count`. */
#define KEY_LIST(key, type, member, count, item)                                                             \
    {                                                                                                        \
        .name = (key), .load = load_list, .offset = offsetof(type, member),                                  \
        .count_offset = offsetof(type, count), .item_size = sizeof(*((type *)0)->member),                    \
        .load_item = (item)                                                                                  \
    }

/* What a route may have of its own and the file has for all; `prefix` leads to the struct in `type`. */
#define KEYS_ROUTE_TIMEOUTS(type, prefix)                                                                    \
    KEY_DURATION("connect", type, prefix connect_ms, false),                                                 \
        KEY_DURATION("ping", type, prefix ping_ms, true), KEY_DURATION("pong", type, prefix pong_ms, true),  \
        KEY_DURATION("idle", type, prefix idle_ms, true),                                                    \
        KEY_DURATION("session", type, prefix session_ms, true),                                              \
        KEY_DURATION("close", type, prefix close_ms, false)

#define KEYS_ROUTE_LIMITS(type, prefix)                                                                      \
    {.name = "message",                                                                                      \
        .load = load_size,                                                                                   \
        .offset = offsetof(type, prefix message_bytes),                                                      \
        .least = 1,                                                                                          \
        .most = MESSAGE_MOST,                                                                                \
        .may_be_off = true},                                                                                 \
    {                                                                                                        \
        .name = "buffer", .load = load_size32, .offset = offsetof(type, prefix buffer_bytes),                \
        .least = BUFFER_LEAST, .most = BUFFER_MOST                                                           \
    }

#endif
