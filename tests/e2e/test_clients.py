"""Other people's WebSocket clients: what each is told at every end of a session, and before the 101.

node's `ws`, python3-websockets and Chromium run the same scripts (see clients/session.js). None of the three
rewrites a code that the gateway sends; what a client cannot see is said where it is asserted.
"""

import asyncio
import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.legacy.client import connect

from parts import targets
from parts.background import tls_trusting
from parts.gateway import Gateway, config
from parts.program import PATIENCE_S

PACKAGES = {"chromium": "chromium", "node": "nodejs", "/usr/share/nodejs/ws/index.js": "node-ws"}

CLIENTS = Path(__file__).resolve().parent / "clients"
RELAY_BYTES = 4 * 1024 * 1024
PERIOD = 251
CHUNK_BYTES = 64 * 1024

# What every client shows when the session ends before or without its 101.
REFUSED = {"opened": False, "received": 0}


def node(script, ca):
    done = subprocess.run(
        ["node", CLIENTS / "node.js", ca, json.dumps(script)],
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs"},
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def python(script, ca):
    return asyncio.run(asyncio.wait_for(python_session(script, ca), PATIENCE_S))


async def python_session(script, ca):
    told = {"opened": False, "received": 0, "intact": True, "text": "", "status": None}
    try:
        ws = await connect(script["url"], ssl=tls_trusting(ca), subprotocols=script.get("subprotocols"),
                           compression=None)
    except InvalidStatusCode as refusal:
        return {**told, "status": refusal.status_code, "headers": dict(refusal.headers)}
    told.update(opened=True, subprotocol=ws.subprotocol or "")
    receiver = asyncio.ensure_future(python_receive(ws, told, script))
    with contextlib.suppress(ConnectionClosed):
        await python_send(ws, script)
    await receiver
    return {**told, "code": ws.close_code, "reason": ws.close_reason, "clean": ws.close_code != 1006}


async def python_send(ws, script):
    left, start = script.get("relay", 0), 0
    while left > start:
        ramp = bytes((start + i) % PERIOD for i in range(PERIOD))
        await ws.send((ramp * (CHUNK_BYTES // PERIOD + 1))[: min(CHUNK_BYTES, left - start)])
        start += CHUNK_BYTES
    if "say" in script:
        await ws.send(script["say"].encode())
    if "text" in script:
        await ws.send(script["text"])
    if "close" in script and not left:
        await ws.close(**script["close"])


async def python_receive(ws, told, script):
    whole = bytearray()
    with contextlib.suppress(ConnectionClosed):
        async for message in ws:
            whole += message
            if len(whole) == script.get("relay") and "close" in script:
                await ws.close(**script["close"])
    ramp = bytes(range(PERIOD)) * (len(whole) // PERIOD + 1)
    told.update(received=len(whole), intact=whole == ramp[: len(whole)], text=whole[:64].decode("latin-1"))


@pytest.fixture(scope="module")
def sluice(tmp_path_factory, certs):
    """One gateway for all of this file, with a route for each end."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "index.html").write_text("<!doctype html><title>clients</title>")
    with contextlib.ExitStack() as stack:
        port = {name: stack.enter_context(targets.Target(getattr(targets, name))).port for name in
                ("echo", "fin", "reset")}
        port["refused"] = stack.enter_context(targets.Refusing()).port
        yield stack.enter_context(Gateway(folder, config(certs, routes(port, folder), "timeouts: {close: 2s, drain: 1s}")))


def routes(port, folder):
    def route(path, target, more=""):
        return f"  - {{host: 127.0.0.1, path: {path}, target: 'tcp://127.0.0.1:{port[target]}'{more}}}\n"

    return (
        "".join(route(f"/{name}", name) for name in port)
        + route("/idle", "echo", ", timeouts: {idle: 200ms}")
        + route("/session", "echo", ", timeouts: {session: 200ms}")
        + route("/one", "echo", ", limits: {sessions: 1}")
        + route("/strict", "echo", ", subprotocol: only-this")
        + route("/elsewhere", "echo", ", origin: 'https://elsewhere.example'")
        + route("/http", "refused", ", on_unreachable: http")
        + f"  - {{host: 127.0.0.1, path: /, files: {folder}}}\n"
    )


@pytest.fixture(scope="module")
def page(chromium, sluice):
    one = chromium.page(sluice.url("/", scheme="https"))
    one.js((CLIENTS / "session.js").read_text() + "\nwindow.runSession = runSession; 0")
    yield one
    one.close()


@pytest.fixture(params=["node", "python", "chromium"])
def client(request, certs):
    """Runs a script in one of the three clients; its `name` says in which."""

    def run(script):
        if request.param == "chromium":
            page = request.getfixturevalue("page")
            return page.js(f"runSession(WebSocket, {json.dumps(script)})")
        return {"node": node, "python": python}[request.param](script, certs / "ca.crt")

    run.name = request.param
    return run


def test_four_mib_through_an_echo(sluice, client):
    close = {"code": 1000, "reason": "done"}
    told = client({"url": sluice.url("/echo"), "subprotocols": ["binary"], "relay": RELAY_BYTES, "close": close})
    assert (told["received"], told["intact"], told["subprotocol"]) == (RELAY_BYTES, True, "binary")
    assert (told["code"], told["clean"]) == (1000, True)


# (path, the script, what comes, code, reason, the cause in the log).
# A client that closes gets its code back, not its reason.
ENDS = {
    "client_1000": ("/echo", {"close": {"code": 1000, "reason": "done"}}, "", 1000, "", "client_close"),
    "client_4000": ("/echo", {"close": {"code": 4000, "reason": "mine"}}, "", 4000, "", "client_close"),
    "target_fin": ("/fin", {"say": "x"}, "bye", 1000, "target ended the connection", "target_eof"),
    "target_reset": ("/reset", {"say": "x"}, "", 1014, "target reset the connection", "target_reset"),
    "target_refused": ("/refused", {}, "", 1014, "target refused the connection", "target_refused"),
    "idle": ("/idle", {}, "", 1001, "session was idle for too long", "idle"),
    "session_limit": ("/session", {}, "", 1008, "session reached its longest time", "session_limit"),
    "text_message": ("/echo", {"text": "x"}, "", 1003, "text messages are not taken here", "bad_message_type"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_a_client_is_told_at_the_end(sluice, client, end):
    path, script, text, code, reason, cause = ENDS[end]
    start = len(sluice.lines)
    told = client({"url": sluice.url(path), **script})
    assert (told["opened"], told["text"]) == (True, text)
    line = sluice.wait_event("session_end", start=start, cause=cause, code=code)
    if cause not in ("client_close", "target_eof"):
        reason += f" ({line['id']})"
    assert (told["code"], told["reason"], told["clean"]) == (code, reason, True)


# (URL's host, path, script, status)
REFUSALS = {
    "host": ("localhost", "/echo", {}, 421),
    "path": ("127.0.0.1", "/nowhere", {}, 404),
    "origin": ("127.0.0.1", "/elsewhere", {}, 403),
    "subprotocol": ("127.0.0.1", "/strict", {"subprotocols": ["other"]}, 400),
    "target": ("127.0.0.1", "/http", {}, 502),
}


def check_refusal(told, client, status):
    assert {key: told[key] for key in REFUSED} == REFUSED
    if client.name == "chromium":  # the web platform hides the status from the page
        assert (told["code"], told["reason"], told["clean"]) == (1006, "", False)
        return
    assert told["status"] == status
    if client.name == "node":
        assert told["body"].endswith("\n") and told["body"].count("\n") == 1 and len(told["body"]) > 5
        assert told["headers"]["connection"].lower() == "close"


@pytest.mark.parametrize("why", REFUSALS)
def test_what_a_client_is_told_before_the_101(sluice, client, why):
    host, path, script, status = REFUSALS[why]
    start = len(sluice.lines)
    check_refusal(client({"url": sluice.url(path, host), **script}), client, status)
    sluice.wait_event("request_refused", start=start, status=status)


def test_one_session_too_many(sluice, client, background, certs):
    async def hold():
        return await connect(sluice.url("/one"), ssl=tls_trusting(certs / "ca.crt"))

    async def let_go(held):
        await held.close()

    start = len(sluice.lines)
    held = background.run(hold())
    try:
        told = client({"url": sluice.url("/one")})
        check_refusal(told, client, 503)
        if client.name != "chromium":
            headers = {key.lower(): value for key, value in told["headers"].items()}
            assert headers["retry-after"].isdigit()
    finally:
        background.run(let_go(held))
    sluice.wait_event("session_end", start=start, cause="client_close")  # the next client finds room again
