/* proto/ws_message: streams of frames and what is read from them, whole and cut at every place with the same
 * result.
 *
 * A stream is a list of frames; its story is what a relay would see: the control frames in their order and
 * the fault, as text, and the payload of the data frames, put together at the front of the input as the relay
 * does. */
#include "base/text.h"
#include "proto/ws_message.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { STREAM_MAX = 2048, FRAMES_MAX = 12, FIN = 0x80, TAKES_TEXT = 1, TAKES_BINARY = 2, TAKES_ANY = 3 };

struct frame {
    uint8_t first; /* the first byte on the wire */
    const char *payload;
    size_t len;
    bool is_raw; /* `payload` is bytes of the wire as they are */
};

#define DATA(first_byte, literal) ((struct frame){(first_byte), (literal), sizeof(literal) - 1, false})
#define RAW(literal)              ((struct frame){0, (literal), sizeof(literal) - 1, true})

struct stream {
    uint8_t bytes[STREAM_MAX];
    size_t len;
};

static void add_bytes(struct stream *s, const void *bytes, size_t n)
{
    assert_true(s->len + n <= STREAM_MAX);
    memcpy(s->bytes + s->len, bytes, n);
    s->len += n;
}

static void add_frame(struct stream *s, const struct frame *frame)
{
    if (frame->is_raw) {
        add_bytes(s, frame->payload, frame->len);
        return;
    }
    uint8_t header[8] = {frame->first, (uint8_t)(0x80 | (frame->len < 126 ? frame->len : 126))};
    size_t n = 2;
    if (frame->len >= 126) {
        header[n++] = (uint8_t)(frame->len >> 8);
        header[n++] = (uint8_t)frame->len;
    }
    const uint8_t mask[4] = {(uint8_t)(0x5A + s->len), 0xC3, (uint8_t)s->len, 0x99};
    memcpy(header + n, mask, 4);
    add_bytes(s, header, n + 4);
    uint8_t payload[STREAM_MAX];
    (void)ws_frame_mask(payload, (const uint8_t *)frame->payload, frame->len, mask, 0);
    add_bytes(s, payload, frame->len);
}

static struct stream stream_of(const struct frame *frames)
{
    struct stream s = {.len = 0};
    for (size_t i = 0; i < FRAMES_MAX && frames[i].payload != NULL; i++) {
        add_frame(&s, &frames[i]);
    }
    return s;
}

struct outcome {
    uint8_t payload[STREAM_MAX];
    size_t len;
    char story[STREAM_MAX];
    struct text text;
    bool over; /* a Close or a fault came */
};

static const char *fault_name(enum ws_fault fault)
{
    switch (fault) {
    case WS_FAULT_FRAME:
        return "frame";
    case WS_FAULT_UTF8:
        return "utf8";
    case WS_FAULT_TYPE:
        return "type";
    case WS_FAULT_TOO_BIG:
        return "too big";
    case WS_FAULT_MEMORY:
        return "memory";
    }
    return "?";
}

static void tell_control(struct outcome *o, const char *name, const struct ws_step *step)
{
    text_addf(&o->text, "%s<", name);
    text_add(&o->text, (struct slice){(const char *)step->payload, step->len});
    text_addf(&o->text, "> ");
}

static bool by_runs; /* the short way first, wherever it may be taken: with it the stories are the same */

/* Feeds one piece as the relay does: memory of just that size, payload put together at its front. */
static void feed(struct ws_message *m, const uint8_t *bytes, size_t n, struct outcome *o)
{
    uint8_t *piece = malloc(n > 0 ? n : 1);
    assert_non_null(piece);
    memcpy(piece, bytes, n);
    uint8_t *in = piece;
    uint8_t *out = piece;
    struct ws_step step;
    do {
        if (by_runs) {
            out += ws_message_run(m, &in, piece + n, out);
            assert_true(in <= piece + n && out <= in);
        }
        ws_message_step(m, &in, piece + n, out, &step);
        assert_true(in <= piece + n && out <= in);
        switch (step.event) {
        case WS_EVENT_DATA:
            out += step.len;
            assert_true(out <= in);
            break;
        case WS_EVENT_PING:
            tell_control(o, "ping", &step);
            break;
        case WS_EVENT_PONG:
            tell_control(o, "pong", &step);
            break;
        case WS_EVENT_CLOSE:
            tell_control(o, "close", &step);
            o->over = true;
            break;
        case WS_EVENT_FAULT:
            text_addf(&o->text, "fault: %s: %s", fault_name(step.fault), step.phrase);
            o->over = true;
            break;
        case WS_EVENT_MORE:
            assert_ptr_equal(in, piece + n);
            break;
        }
    } while (step.event != WS_EVENT_MORE && !o->over);
    size_t made = (size_t)(out - piece);
    assert_true(o->len + made <= STREAM_MAX);
    memcpy(o->payload + o->len, piece, made);
    o->len += made;
    free(piece);
}

struct limits {
    int takes;
    uint64_t message_max;
};

static const struct limits open_limits = {TAKES_ANY, UINT64_MAX};

static struct ws_message message_of(struct limits limits)
{
    struct ws_message m;
    ws_message_init(
        &m, (limits.takes & TAKES_TEXT) != 0, (limits.takes & TAKES_BINARY) != 0, limits.message_max);
    return m;
}

static void outcome_init(struct outcome *o)
{
    o->len = 0;
    o->over = false;
    text_init(&o->text, o->story, sizeof o->story);
}

/* In two pieces, cut at `cut`; or in steps of `every` bytes. */
static void run_cut(const struct stream *s, struct limits limits, size_t cut, size_t every, struct outcome *o)
{
    struct ws_message m = message_of(limits);
    outcome_init(o);
    for (size_t at = 0; at < s->len && !o->over;) {
        size_t n = every > 0 ? every : at == 0 && cut > 0 ? cut : s->len;
        n = n < s->len - at ? n : s->len - at;
        feed(&m, s->bytes + at, n, o);
        at += n;
    }
    ws_message_fini(&m);
}

static void check_outcome(
    const struct outcome *o, const char *payload, size_t len, const char *story, size_t cut)
{
    if (strcmp(o->story, story) != 0) {
        fail_msg("cut at %zu\n  told     \"%s\"\n  expected \"%s\"", cut, o->story, story);
    }
    /* Of a text that turns out not to be one, how much was handed out before depends on the pieces. */
    bool partly = strstr(story, "fault: utf8") != NULL;
    if ((partly ? o->len > len : o->len != len) || memcmp(o->payload, payload, o->len) != 0) {
        fail_msg("cut at %zu: %zu bytes of payload, expected %zu, in \"%s\"", cut, o->len, len, story);
    }
}

static void check(
    const struct frame *frames, struct limits limits, const char *payload, size_t len, const char *story)
{
    struct stream s = stream_of(frames);
    struct outcome o;
    for (size_t cut = 0; cut < s.len; cut++) { /* 0: whole */
        run_cut(&s, limits, cut, 0, &o);
        check_outcome(&o, payload, len, story, cut);
    }
    for (size_t every = 1; every <= 5; every++) {
        run_cut(&s, limits, 0, every, &o);
        check_outcome(&o, payload, len, story, every);
    }
}

struct story_case {
    struct frame frames[FRAMES_MAX];
    const char *payload;
    const char *story;
};

static void check_all(const struct story_case *cases, size_t count, struct limits limits)
{
    for (size_t i = 0; i < count; i++) {
        check(cases[i].frames, limits, cases[i].payload, strlen(cases[i].payload), cases[i].story);
    }
}

static void good_streams(void **state)
{
    (void)state;
    static const struct story_case cases[] = {
        {{RAW("\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58")}, "Hello", ""}, /* RFC 6455 5.7 */
        {{DATA(FIN | WS_BINARY, "")}, "", ""},
        {{DATA(FIN | WS_BINARY, "a")}, "a", ""},
        {{DATA(FIN | WS_BINARY, "one"), DATA(FIN | WS_TEXT, "two"), DATA(FIN | WS_BINARY, "three")},
            "onetwothree", ""},
        {{DATA(WS_BINARY, "frag"), DATA(WS_CONTINUATION, "men"), DATA(FIN | WS_CONTINUATION, "ted")},
            "fragmented", ""},
        {{DATA(WS_BINARY, ""), DATA(WS_CONTINUATION, ""), DATA(FIN | WS_CONTINUATION, "")}, "", ""},
        {{DATA(WS_BINARY, ""), DATA(FIN | WS_CONTINUATION, "late"), DATA(FIN | WS_BINARY, "!")}, "late!", ""},
        {{DATA(FIN | WS_PING, ""), DATA(FIN | WS_PONG, "")}, "", "ping<> pong<> "},
        {{DATA(FIN | WS_PING, "p"), DATA(FIN | WS_BINARY, "x"), DATA(FIN | WS_PONG, "qq")}, "x",
            "ping<p> pong<qq> "},
        {{DATA(FIN | WS_PING, "1"), DATA(WS_TEXT, "a"), DATA(FIN | WS_PING, "22"), DATA(WS_CONTINUATION, "b"),
             DATA(FIN | WS_PONG, "333"), DATA(FIN | WS_PING, ""), DATA(FIN | WS_CONTINUATION, "c"),
             DATA(FIN | WS_PING, "55555")},
            "abc", "ping<1> ping<22> pong<333> ping<> ping<55555> "},
        {{DATA(FIN | WS_CLOSE, "")}, "", "close<> "},
        {{DATA(FIN | WS_BINARY, "bye"), DATA(FIN | WS_CLOSE, "\x13\x88 why")}, "bye", "close<\x13\x88 why> "},
        {{DATA(WS_BINARY, "half"), DATA(FIN | WS_CLOSE, "\x0B\xB8")}, "half", "close<\x0B\xB8> "},
        {{DATA(FIN | WS_CLOSE, ""), DATA(FIN | WS_BINARY, "never read"), RAW("\xFF\xFF")}, "", "close<> "},
    };
    check_all(cases, COUNT(cases), open_limits);
}

#define FRAME_FAULT "fault: frame: "

static void faults(void **state)
{
    (void)state;
    static const struct story_case cases[] = {
        {{RAW("\x82\x01"), RAW("a")}, "", FRAME_FAULT "frame from the client is not masked"},
        {{RAW("\x89\x00")}, "", FRAME_FAULT "frame from the client is not masked"},
        {{DATA(FIN | 0x40 | WS_BINARY, "a")}, "",
            FRAME_FAULT "frame has a reserved bit set and no extension was agreed"},
        {{DATA(FIN | 0x20 | WS_BINARY, "a")}, "",
            FRAME_FAULT "frame has a reserved bit set and no extension was agreed"},
        {{DATA(FIN | 0x10 | WS_PING, "a")}, "",
            FRAME_FAULT "frame has a reserved bit set and no extension was agreed"},
        {{DATA(FIN | 0x3, "a")}, "", FRAME_FAULT "frame has a reserved opcode"},
        {{DATA(FIN | 0x7, "a")}, "", FRAME_FAULT "frame has a reserved opcode"},
        {{DATA(FIN | 0xB, "a")}, "", FRAME_FAULT "frame has a reserved opcode"},
        {{DATA(FIN | 0xF, "a")}, "", FRAME_FAULT "frame has a reserved opcode"},
        {{DATA(WS_PING, "a")}, "", FRAME_FAULT "control frame is fragmented"},
        {{DATA(WS_CLOSE, "")}, "", FRAME_FAULT "control frame is fragmented"},
        {{RAW("\x89\xFE\x00\x7E")}, "", FRAME_FAULT "control frame is over 125 bytes"},
        {{RAW("\x88\xFF")}, "", FRAME_FAULT "control frame is over 125 bytes"},
        {{RAW("\x82\xFE\x00\x7D")}, "", FRAME_FAULT "frame length is not in its shortest form"},
        {{RAW("\x82\xFF\0\0\0\0\0\0\xFF\xFF")}, "", FRAME_FAULT "frame length is not in its shortest form"},
        {{RAW("\x82\xFF\x80\0\0\0\0\0\0\0")}, "", FRAME_FAULT "frame length has its top bit set"},
        {{DATA(FIN | WS_CONTINUATION, "a")}, "",
            FRAME_FAULT "continuation frame without a message to continue"},
        {{DATA(FIN | WS_BINARY, "whole"), DATA(WS_CONTINUATION, "")}, "whole",
            FRAME_FAULT "continuation frame without a message to continue"},
        {{DATA(WS_BINARY, "half"), DATA(FIN | WS_PING, "p"), DATA(FIN | WS_BINARY, "new")}, "half",
            "ping<p> " FRAME_FAULT "new message before the fragmented one ended"},
        {{DATA(WS_TEXT, "half"), DATA(WS_TEXT, "")}, "half",
            FRAME_FAULT "new message before the fragmented one ended"},
        /* What came before is delivered, what comes behind is not read. */
        {{DATA(FIN | WS_BINARY, "good"), DATA(FIN | 0x5, ""), DATA(FIN | WS_BINARY, "bad")}, "good",
            FRAME_FAULT "frame has a reserved opcode"},
    };
    check_all(cases, COUNT(cases), open_limits);
}

/* A peer that sends no more learns of most faults from two bytes. */
static void two_bytes_tell_most_faults(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "\x82\x05", "\xC2\x85", "\x83\x85", "\x8B\x85", "\x09\x85", "\x89\xFE", "\x88\xFF"};
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct ws_message m = message_of(open_limits);
        struct outcome o;
        outcome_init(&o);
        feed(&m, (const uint8_t *)heads[i], 2, &o);
        assert_true(o.over);
        assert_non_null(strstr(o.story, "fault: frame: "));
        ws_message_fini(&m);
    }
}

#define NOT_UTF8 "fault: utf8: text message is not UTF-8"

static void text_is_utf8(void **state)
{
    (void)state;
    static const struct story_case cases[] = {
        {{DATA(FIN | WS_TEXT, "\xE2\x82\xAC \xF0\x9F\x98\x80 e\xCC\x81")},
            "\xE2\x82\xAC \xF0\x9F\x98\x80 e\xCC\x81", ""},
        {{DATA(WS_TEXT, "\xE2"), DATA(FIN | WS_PING, "\xFF"), DATA(WS_CONTINUATION, "\x82"),
             DATA(WS_CONTINUATION, ""), DATA(FIN | WS_CONTINUATION, "\xAC")},
            "\xE2\x82\xAC", "ping<\xFF> "},
        {{DATA(FIN | WS_BINARY, "\xFF\xC0")}, "\xFF\xC0", ""},
        {{DATA(WS_BINARY, "\xE2"), DATA(FIN | WS_CONTINUATION, "x")}, "\xE2x", ""},
        {{DATA(FIN | WS_TEXT, "plain \xFF more")}, "plain ", NOT_UTF8},
        {{DATA(FIN | WS_TEXT, "\xC0\x80")}, "", NOT_UTF8},
        {{DATA(FIN | WS_TEXT, "\xED\xA0\x80")}, "\xED", NOT_UTF8},
        {{DATA(FIN | WS_TEXT, "\xF4\x90\x80\x80")}, "\xF4", NOT_UTF8},
        {{DATA(FIN | WS_TEXT, "cut \xE2\x82")}, "cut \xE2", NOT_UTF8},
        {{DATA(WS_TEXT, "cut \xE2\x82"), DATA(FIN | WS_CONTINUATION, "")}, "cut \xE2\x82", NOT_UTF8},
        {{DATA(WS_TEXT, "\xE2"), DATA(FIN | WS_CONTINUATION, "(")}, "\xE2", NOT_UTF8},
        /* The next message begins anew. */
        {{DATA(FIN | WS_TEXT, "a"), DATA(FIN | WS_TEXT, "\x80")}, "a", NOT_UTF8},
        {{DATA(WS_BINARY, "\xE2"), DATA(FIN | WS_CONTINUATION, "\x82"), DATA(FIN | WS_TEXT, "ok")},
            "\xE2\x82ok", ""},
    };
    check_all(cases, COUNT(cases), open_limits);
}

static void types_that_are_not_taken(void **state)
{
    (void)state;
    static const struct story_case on_binary[] = {
        {{DATA(FIN | WS_BINARY, "b"), DATA(FIN | WS_TEXT, "t")}, "b",
            "fault: type: text messages are not taken here"},
        {{DATA(WS_TEXT, "")}, "", "fault: type: text messages are not taken here"},
        {{DATA(WS_BINARY, "\xFF"), DATA(FIN | WS_CONTINUATION, "\xFF")}, "\xFF\xFF", ""},
    };
    static const struct story_case on_text[] = {
        {{DATA(FIN | WS_TEXT, "t"), DATA(FIN | WS_BINARY, "b")}, "t",
            "fault: type: binary messages are not taken here"},
    };
    check_all(on_binary, COUNT(on_binary), (struct limits){TAKES_BINARY, UINT64_MAX});
    check_all(on_text, COUNT(on_text), (struct limits){TAKES_TEXT, UINT64_MAX});
}

#define TOO_BIG "fault: too big: message is over the limit"

static void the_limit_is_of_the_whole_message(void **state)
{
    (void)state;
    static const struct story_case of_ten[] = {
        {{DATA(FIN | WS_BINARY, "0123456789")}, "0123456789", ""},
        {{DATA(FIN | WS_BINARY, "0123456789a")}, "", TOO_BIG},
        {{DATA(WS_BINARY, "01234"), DATA(FIN | WS_CONTINUATION, "56789")}, "0123456789", ""},
        {{DATA(WS_BINARY, "01234"), DATA(FIN | WS_CONTINUATION, "56789a")}, "01234", TOO_BIG},
        {{DATA(WS_BINARY, "0123456789"), DATA(WS_CONTINUATION, ""), DATA(WS_CONTINUATION, "a")}, "0123456789",
            TOO_BIG},
        {{DATA(FIN | WS_BINARY, "0123456789"), DATA(FIN | WS_BINARY, "0123456789")}, "01234567890123456789",
            ""},
        {{DATA(WS_BINARY, "01234"), DATA(FIN | WS_PING, "a long ping, not counted"),
             DATA(FIN | WS_CONTINUATION, "56789")},
            "0123456789", "ping<a long ping, not counted> "},
        /* A header alone is enough: nothing waits for 2^62 bytes. */
        {{RAW("\x82\xFF\x40\0\0\0\0\0\0\0mask")}, "", TOO_BIG},
    };
    static const struct story_case of_none[] = {
        {{DATA(FIN | WS_BINARY, "")}, "", ""},
        {{DATA(FIN | WS_BINARY, "a")}, "", TOO_BIG},
    };
    static const struct story_case off[] = {
        {{RAW("\x02\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0data")}, "data", ""},
    };
    check_all(of_ten, COUNT(of_ten), (struct limits){TAKES_ANY, 10});
    check_all(of_none, COUNT(of_none), (struct limits){TAKES_ANY, 0});
    check_all(off, COUNT(off), open_limits);
}

static void longer_frames_and_the_longest_control_frame(void **state)
{
    (void)state;
    static const size_t lengths[] = {124, 125, 126, 127, 300, 1000};
    char payload[1000];
    char story[STREAM_MAX];
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (char)('!' + i % 90);
    }
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const struct frame frames[FRAMES_MAX] = {{FIN | WS_PING, payload, WS_CONTROL_MAX, false},
            {FIN | WS_TEXT, payload, lengths[i], false}, {FIN | WS_PONG, payload, lengths[i] % 126, false}};
        (void)snprintf(story, sizeof story, "ping<%.*s> pong<%.*s> ", WS_CONTROL_MAX, payload,
            (int)(lengths[i] % 126), payload);
        check(frames, open_limits, payload, lengths[i], story);
    }
}

static void many_small_frames_move_together(void **state)
{
    (void)state;
    enum { FRAMES = 200 };
    struct stream s = {.len = 0};
    char expected[FRAMES];
    for (size_t i = 0; i < FRAMES; i++) {
        expected[i] = (char)('a' + i % 26);
        add_frame(&s, &(struct frame){FIN | WS_BINARY, &expected[i], 1, false});
    }
    struct ws_message m = message_of(open_limits);
    uint8_t *in = s.bytes;
    uint8_t *out = s.bytes;
    struct ws_step step;
    for (size_t i = 0; i < FRAMES; i++) {
        ws_message_step(&m, &in, s.bytes + s.len, out, &step);
        assert_int_equal(step.event, WS_EVENT_DATA);
        out += step.len;
    }
    ws_message_step(&m, &in, s.bytes + s.len, out, &step);
    assert_int_equal(step.event, WS_EVENT_MORE);
    assert_int_equal(out - s.bytes, FRAMES);
    assert_memory_equal(s.bytes, expected, FRAMES); /* one write sends them all */
    ws_message_fini(&m);
}

/* A control frame that came in pieces is the only thing that is ever kept on the heap, and only until the
 * step behind the one that hands it out. */
static void only_a_control_frame_in_pieces_allocates(void **state)
{
    (void)state;
    struct stream data = stream_of((const struct frame[FRAMES_MAX]){
        DATA(WS_TEXT, "some data"), DATA(WS_CONTINUATION, ""), DATA(FIN | WS_CONTINUATION, "and more")});
    struct stream ping = stream_of((const struct frame[FRAMES_MAX]){DATA(FIN | WS_PING, "ping")});
    struct ws_message m = message_of(open_limits);
    struct outcome o;
    outcome_init(&o);
    for (size_t i = 0; i < data.len; i++) {
        feed(&m, data.bytes + i, 1, &o);
        assert_null(m.control);
    }
    feed(&m, ping.bytes, ping.len, &o);
    assert_null(m.control);
    for (size_t i = 0; i < ping.len; i++) {
        feed(&m, ping.bytes + i, 1, &o);
        bool under_way = i >= 5 && i + 1 < ping.len; /* the whole header came, and the payload did not */
        assert_int_equal(m.control != NULL, under_way);
    }
    feed(&m, ping.bytes, 8, &o);
    assert_non_null(m.control);
    ws_message_fini(&m); /* a client that vanishes there leaks nothing */
    assert_null(m.control);
    assert_string_equal(o.story, "ping<ping> ping<ping> ");
}

/* Frames of all the short lengths and around them, one after the other, with a control frame at the end: what
 * a run leaves stands where a step goes on. */
static void runs_of_every_length(void **state)
{
    (void)state;
    enum { LEN_MAX = 2100, PIECE_MAX = 3 * (LEN_MAX + 8) + 64 };
    static uint8_t bytes[PIECE_MAX], payload[LEN_MAX];
    for (size_t i = 0; i < LEN_MAX; i++) {
        payload[i] = (uint8_t)(i * 7 + i / 256);
    }
    const uint8_t mask[4] = {1, 0x80, 0xFE, 0x3C};
    for (size_t len = 0; len < LEN_MAX; len += len < 300 ? 1 : 61) {
        size_t n = 0;
        for (int i = 0; i < 3; i++) {
            bytes[n++] = FIN | WS_BINARY;
            bytes[n++] = (uint8_t)(0x80 | (len < 126 ? len : 126));
            if (len >= 126) {
                bytes[n++] = (uint8_t)(len >> 8);
                bytes[n++] = (uint8_t)len;
            }
            memcpy(bytes + n, mask, 4);
            n += 4;
            (void)ws_frame_mask(bytes + n, payload, len, mask, 0);
            n += len;
        }
        memcpy(bytes + n, "\x89\x84\0\0\0\0ping", 10);
        memset(bytes + n + 10, 0, 14);
        struct ws_message m = message_of(open_limits);
        uint8_t *in = bytes;
        size_t made = ws_message_run(&m, &in, bytes + n + 24, bytes);
        assert_int_equal(len <= 2048 ? 3 * len : 0, made);
        assert_ptr_equal(len <= 2048 ? bytes + n : bytes, in);
        for (size_t at = 0; at < made; at += len) {
            assert_memory_equal(payload, bytes + at, len);
        }
        if (made > 0) {
            struct ws_step step;
            ws_message_step(&m, &in, bytes + n + 24, bytes, &step);
            assert_int_equal(WS_EVENT_PING, step.event);
        }
        ws_message_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_streams),
        cmocka_unit_test(faults),
        cmocka_unit_test(two_bytes_tell_most_faults),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(types_that_are_not_taken),
        cmocka_unit_test(the_limit_is_of_the_whole_message),
        cmocka_unit_test(longer_frames_and_the_longest_control_frame),
        cmocka_unit_test(many_small_frames_move_together),
        cmocka_unit_test(runs_of_every_length),
        cmocka_unit_test(only_a_control_frame_in_pieces_allocates),
    };
    int failed = cmocka_run_group_tests_name("ws_message", tests, NULL, NULL);
    by_runs = true;
    return failed + cmocka_run_group_tests_name("ws_message_runs", tests, NULL, NULL);
}
