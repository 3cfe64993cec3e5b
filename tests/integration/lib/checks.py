"""What holds for every refusal and for every end of a session."""

from lib.stream import FIN
from lib.ws import SESSION_ID


def refused(client, answer, status, **fields):
    """`answer` is a refusal as the contract has it, and the connection ends in order behind it."""
    assert answer.status == status, answer
    assert answer.tokens("connection") == ["close"], answer
    assert SESSION_ID.fullmatch(answer.fields["sluice-session"]), answer
    for name, value in fields.items():
        assert answer.fields.get(name.replace("_", "-")) == value, answer
    assert answer.fields["content-type"].startswith("text/plain"), answer
    body = answer.body.decode("ascii")
    assert body.endswith("\n") and body.count("\n") == 1 and len(body) > 4, body
    assert client.take_rest() == (b"", FIN)


def refusal_logged(gateway, client, status, **fields):
    """The line of a refusal; answers it."""
    event = gateway.wait_event("request_refused", client=client.name, status=status, **fields)
    assert event["reason"].strip()
    if client.answer:
        assert event["id"] == client.session_id, event
    return event


def close_reason(client, reason, normal=False):
    """A phrase, and behind it the session's id where the end is not a normal one; answers the phrase."""
    assert len(reason.encode()) <= 123
    if not normal:
        behind = f" ({client.session_id})"
        assert reason.endswith(behind), reason
        reason = reason[: -len(behind)]
    assert reason.strip() == reason != ""
    return reason


def logged_end(gateway, client, cause, code, up, down, **fields):
    """The session_end line of `client`: its cause, its Close code (None: no Close), its bytes."""
    event = gateway.session_end(client)
    assert event["cause"] == cause, event
    assert event.get("code", "0") == str(code or 0), event
    assert (int(event["up_bytes"]), int(event["down_bytes"])) == (up, down), event
    assert int(event["duration_ms"]) >= 0
    assert event["id"] == client.session_id, event
    for key in ("listener", "route", "target"):
        assert event[key], event
    for key, value in fields.items():
        assert event[key] == str(value), event
    return event
