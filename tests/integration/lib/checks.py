"""What holds for every refusal and for every end of a session."""

from lib.stream import FIN


def refused(client, answer, status, **fields):
    """`answer` is a refusal as the contract has it, and the connection ends in order behind it."""
    assert answer.status == status, answer
    assert answer.tokens("connection") == ["close"], answer
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
    return event


def close_reason(reason):
    assert reason.strip() == reason != ""
    assert len(reason.encode()) <= 123


def logged_end(gateway, client, cause, code, up, down, **fields):
    """The session_end line of `client`: its cause, its Close code (None: no Close), its bytes."""
    event = gateway.session_end(client)
    assert event["cause"] == cause, event
    assert event.get("code", "0") == str(code or 0), event
    assert (int(event["up_bytes"]), int(event["down_bytes"])) == (up, down), event
    assert int(event["duration_ms"]) >= 0
    for key in ("id", "listener", "route", "target"):
        assert event[key], event
    for key, value in fields.items():
        assert event[key] == str(value), event
    return event
