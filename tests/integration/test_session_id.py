"""One id leads from a user's screen to the line in the log."""

import re

import pytest
from lib.checks import close_reason, logged_end, refusal_logged, refused
from lib.env import ms
from lib.target import echo
from lib.ws import request


def test_an_abnormal_end_says_its_id(relay, target):
    server = target().serve(echo)
    gateway = relay.start(f'- {{timeouts: {{session: {ms(300)}}}, target: "{server.url}"}}')
    client = relay.open()
    got, code, reason = client.take_closing()
    assert (got, code) == (b"", 1008)
    assert re.fullmatch(rf"session reached its longest time \({client.session_id}\)", reason)
    client.close()
    logged_end(gateway, client, "session_limit", 1008, 0, 0, id=client.session_id)


def test_a_target_that_refused(relay):
    gateway = relay.start('- {target: "unix:/nowhere/at/all"}')
    client = relay.open()
    got, code, reason = client.take_closing()
    assert (got, code) == (b"", 1014)
    close_reason(client, reason)
    client.close()
    assert gateway.wait_event("target_failed", id=client.session_id)
    assert gateway.session_end(client)["id"] == client.session_id


def test_a_normal_end_keeps_to_itself(relay, target):
    server = target()
    gateway = relay.start(f'- {{target: "{server.url}"}}')
    client = relay.open()
    server.accept().close()
    assert client.take_closing() == (b"", 1000, "target ended the connection")
    client.close()
    assert gateway.session_end(client)["id"] == client.session_id


@pytest.mark.parametrize(
    "data, status",
    [
        (request("/nowhere"), 404),
        (request("/", upgrade=False), 426),
        (request("/", method="POST"), 405),
        (b"BAD\r\n\r\n", 400),
    ],
)
def test_each_refusal_has_one(plain, data, status):
    gateway = plain.start('- {path: /, target: "tcp://127.0.0.1:9"}')
    client = plain.connect()
    refused(client, client.ask(data), status)
    assert refusal_logged(gateway, client, status)["id"] == client.session_id


def test_no_two_are_alike(plain, target):
    server = target().serve(echo)
    plain.start(f'- {{target: "{server.url}"}}')
    ids = {plain.open().session_id for _ in range(20)}
    assert len(ids) == 20
