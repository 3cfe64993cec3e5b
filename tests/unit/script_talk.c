/* What scripted peers say, and how a client reads what it heard. */
#include "proto/utf8.h"
#include "script.h"

void say(struct script_side *side, const void *bytes, size_t n)
{
    assert_true(buf_append(&side->said, bytes, n));
}

void say_text(struct script_side *side, const char *text)
{
    say(side, text, strlen(text));
}

void say_frame(struct script_side *client, bool fin, enum ws_opcode opcode, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {0xA1, 0x00, 0x5F, 0xFE};
    const uint8_t *bytes = payload;
    uint8_t header[WS_HEADER_MAX];
    size_t at = 0;
    header[at++] = (uint8_t)((fin ? 0x80U : 0U) | (unsigned)opcode);
    if (n < 126) {
        header[at++] = (uint8_t)(0x80U | n);
    } else {
        size_t wide = n <= 0xFFFF ? 2 : 8;
        header[at++] = wide == 2 ? 0xFE : 0xFF;
        for (size_t i = 0; i < wide; i++) {
            header[at++] = (uint8_t)((uint64_t)n >> 8 * (wide - 1 - i));
        }
    }
    memcpy(header + at, mask, sizeof mask);
    say(client, header, at + sizeof mask);
    uint8_t chunk[512]; /* a multiple of the mask's length */
    for (size_t sent = 0; sent < n; sent += sizeof chunk) {
        size_t len = n - sent < sizeof chunk ? n - sent : sizeof chunk;
        for (size_t i = 0; i < len; i++) {
            chunk[i] = bytes[sent + i] ^ mask[i % 4];
        }
        say(client, chunk, len);
    }
}

void say_close(struct script_side *client, uint16_t code, const char *reason)
{
    uint8_t payload[WS_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t n = strlen(reason);
    assert_in_range(n, 0, WS_CONTROL_MAX - 2);
    memcpy(payload + 2, reason, n);
    say_frame(client, true, WS_CLOSE, payload, 2 + n);
}

void say_upgrade(struct script_side *client, const char *path, const char *fields)
{
    char text[4096];
    int n = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: desk.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
        path, fields);
    assert_in_range(n, 1, sizeof text - 1);
    say_text(client, text);
}

/* ---- Hearing. */

static void note_control(struct hearing *h, const char *name, const uint8_t *payload, size_t n)
{
    size_t at = strlen(h->controls);
    int wrote = snprintf(h->controls + at, sizeof h->controls - at, "%s%s(%.*s)", at > 0 ? " " : "", name,
        (int)n, (const char *)payload);
    assert_in_range(wrote, 1, sizeof h->controls - at - 1);
}

static void note_close(struct hearing *h, const uint8_t *payload, size_t n)
{
    assert_in_range(n, 2, WS_CONTROL_MAX);
    h->close_code = (unsigned)(payload[0] << 8 | payload[1]);
    (void)snprintf(h->close_reason, sizeof h->close_reason, "%.*s", (int)(n - 2), (const char *)payload + 2);
    char id[SESSION_ID_MAX + 3];
    size_t id_len = (size_t)snprintf(id, sizeof id, " (%s)", h->session);
    size_t len = strlen(h->close_reason);
    h->close_has_id = len > id_len && strcmp(h->close_reason + len - id_len, id) == 0;
    if (h->close_has_id) {
        h->close_reason[len - id_len] = '\0';
    }
    char told[160];
    int told_len = snprintf(told, sizeof told, "%u %s", h->close_code, h->close_reason);
    note_control(h, "close", (const uint8_t *)told, (size_t)told_len);
}

static void note_frame(struct hearing *h, const struct ws_frame *frame, const uint8_t *payload)
{
    size_t n = (size_t)frame->len;
    h->behind_close |= h->close_code != 0;
    if (frame->opcode == WS_PING) {
        note_control(h, "ping", payload, n);
    } else if (frame->opcode == WS_PONG) {
        note_control(h, "pong", payload, n);
    } else if (frame->opcode == WS_CLOSE) {
        note_close(h, payload, n);
    } else {
        assert_true(frame->opcode == WS_TEXT || frame->opcode == WS_BINARY);
        struct utf8 utf8 = {0};
        bool text = frame->opcode == WS_TEXT && utf8_feed(&utf8, payload, n) && utf8_whole(&utf8);
        assert_true(frame->opcode == WS_BINARY || text);
        h->text = text;
        h->messages++;
        assert_true(n > 0);
        assert_true(buf_append(&h->payload, payload, n));
    }
}

static void note_session(struct hearing *h, const uint8_t *head)
{
    const struct slice name = SLICE("\r\nSluice-Session: ");
    const char *at = memmem(head, h->body_at, name.p, name.len);
    if (at != NULL) {
        (void)snprintf(h->session, sizeof h->session, "%.*s", SESSION_ID_MAX - 1, at + name.len);
        assert_int_equal(SESSION_ID_MAX - 1, strspn(h->session, "0123456789abcdef"));
        assert_memory_equal("\r\n", at + name.len + SESSION_ID_MAX - 1, 2);
    }
}

void hearing_of(const struct script_side *client, struct hearing *h)
{
    *h = (struct hearing){0};
    const uint8_t *bytes = buf_data(&client->heard);
    size_t len = buf_len(&client->heard);
    if (len == 0) {
        return;
    }
    const uint8_t *behind = memmem(bytes, len, "\r\n\r\n", 4);
    if (behind == NULL) {
        h->cut = true;
        return;
    }
    h->body_at = (size_t)(behind - bytes) + 4;
    struct slice line = {(const char *)bytes, h->body_at};
    uint64_t number = 0;
    assert_true(slice_starts(line, SLICE("HTTP/1.1 ")));
    assert_true(slice_to_u64((struct slice){line.p + 9, 3}, 599, &number));
    h->status = (unsigned)number;
    note_session(h, bytes);
    size_t at = h->status == 101 ? h->body_at : len;
    while (at < len) {
        struct ws_frame frame;
        size_t used = 0;
        enum ws_frame_status status = ws_frame_read(bytes + at, len - at, &frame, &used);
        assert_int_not_equal(WS_FRAME_BAD_LEN, status);
        if (status == WS_FRAME_MORE || frame.len > len - at - used) {
            h->cut = true;
            return;
        }
        assert_true(frame.fin && frame.rsv == 0 && !frame.masked);
        note_frame(h, &frame, bytes + at + used);
        at += used + (size_t)frame.len;
    }
}

void hearing_fini(struct hearing *h)
{
    buf_fini(&h->payload);
}

void assert_heard(const struct script_side *side, const void *bytes, size_t n)
{
    assert_int_equal(n, buf_len(&side->heard));
    if (n > 0) {
        assert_memory_equal(bytes, buf_data(&side->heard), n);
    }
}

void assert_heard_text(const struct script_side *side, const char *text)
{
    assert_heard(side, text, strlen(text));
}

void assert_closed_with(const struct script_side *client, unsigned code, const char *reason)
{
    struct hearing h;
    hearing_of(client, &h);
    assert_int_equal(code, h.close_code);
    assert_string_equal(reason, h.close_reason);
    bool normal = reason[0] == '\0' || (code == 1000 && strcmp(reason, "target ended the connection") == 0);
    assert_int_equal(!normal, h.close_has_id);
    assert_false(h.behind_close);
    assert_false(h.cut);
    assert_true(client->shut || client->closed);
    hearing_fini(&h);
}
