"""Headless Chromium, driven over the DevTools protocol by its one WebSocket."""

import asyncio
import base64
import collections
import json
from pathlib import Path

from websockets.legacy.client import connect

from .program import PATIENCE_S, Program

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
 --disable-component-update --disable-sync --disable-default-apps --disable-dev-shm-usage --no-proxy-server
 --ignore-certificate-errors --remote-debugging-port=0 --window-size=1280,900""".split()

# Keeps what every WebSocket of the page is told, in window.sluiceSockets. A proxy, so that the page gets the
# browser's own object (noVNC looks at its prototype).
HOOK = """
window.sluiceSockets = [];
window.WebSocket = new Proxy(window.WebSocket, {construct(Real, given) {
  const socket = new Real(...given);
  const seen = {url: String(given[0]), opened: false, subprotocol: null, close: null};
  window.sluiceSockets.push(seen);
  socket.addEventListener("open", () => { seen.opened = true; seen.subprotocol = socket.protocol; });
  socket.addEventListener("close", e => { seen.close = {code: e.code, reason: e.reason, clean: e.wasClean}; });
  return socket;
}});
"""

READ_PNG = """(async () => {
  const look = LOOK;
  const image = new Image();
  image.src = "data:image/png;base64,DATA";
  await image.decode();
  const brush = new OffscreenCanvas(image.width, image.height).getContext("2d");
  brush.drawImage(image, 0, 0);
  return look(brush.getImageData(0, 0, image.width, image.height));
})()"""


class Chromium:
    """One browser with a new, empty profile in `profile`."""

    def __init__(self, profile):
        self.program = Program(["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"])
        try:
            address = self.program.wait_line(r"DevTools listening on (ws://\S+)")[1]
            self.loop = asyncio.new_event_loop()
            self.ws = self._wait(self._connect(address))
        except BaseException:
            self.program.end()
            raise
        self.last_id = 0
        self.events = collections.deque(maxlen=1000)

    def _wait(self, awaitable, patience_s=PATIENCE_S):
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, patience_s))

    async def _connect(self, address):
        return await connect(address, max_size=None, ping_interval=None, compression=None)

    def call(self, method, params=None, session=None, patience_s=PATIENCE_S):
        self.last_id += 1
        order = {"id": self.last_id, "method": method, "params": params or {}}
        if session:
            order["sessionId"] = session
        return self._wait(self._ask(order), patience_s)

    async def _ask(self, order):
        await self.ws.send(json.dumps(order))
        while True:
            answer = json.loads(await self.ws.recv())
            if answer.get("id") == order["id"]:
                assert "error" not in answer, f"{order['method']}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def wait_event(self, method, session, patience_s=PATIENCE_S):
        async def next_one():
            while True:
                for event in self.events:
                    if event.get("method") == method and event.get("sessionId") == session:
                        self.events.remove(event)
                        return event["params"]
                self.events.append(json.loads(await self.ws.recv()))

        return self._wait(next_one(), patience_s)

    def page(self, url):
        return Page(self, url)

    def end(self):
        try:
            self._wait(self.ws.close())
        finally:
            self.program.end()
        self.loop.close()


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        self.target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attach = {"targetId": self.target, "flatten": True}
        self.session = browser.call("Target.attachToTarget", attach)["sessionId"]
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", {"source": HOOK})
        assert "errorText" not in (answer := self.call("Page.navigate", {"url": url})), f"{url}: {answer['errorText']}"
        browser.wait_event("Page.loadEventFired", self.session)

    def call(self, method, params=None, patience_s=PATIENCE_S):
        return self.browser.call(method, params, self.session, patience_s)

    def js(self, expression, patience_s=PATIENCE_S, told=None):
        """The value of an expression; a promise is waited for. `told` names it where it is too long to print."""
        order = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", order, patience_s)
        fault = answer.get("exceptionDetails")
        assert fault is None, f"{told or expression}: {fault}"
        return answer["result"].get("value")

    def wait_js(self, condition, patience_s=PATIENCE_S):
        """Asks the condition in the page, once a frame, until it is true; its value."""
        return self.js(
            f"""new Promise((done, fail) => {{
              const end = performance.now() + {patience_s * 900};
              (function ask() {{
                let value = false;
                try {{ value = ({condition}); }} catch (e) {{ return fail(e); }}
                if (value) done(value);
                else if (performance.now() > end) fail(new Error("not in time"));
                else setTimeout(ask, 16);
              }})();
            }})""",
            patience_s,
        )

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            order = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", order)

    def type(self, text):
        for character in text:
            self.key(*key_of(character))

    def key(self, key, code, number, shifted):
        shift = {"key": "Shift", "code": "ShiftLeft", "windowsVirtualKeyCode": 16}
        order = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shifted else 0}
        if shifted:
            self.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", "modifiers": 8, **shift})
        self.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", **order})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **order})
        if shifted:
            self.call("Input.dispatchKeyEvent", {"type": "keyUp", **shift})

    def screenshot(self, file, clip, look):
        """Saves what is drawn of the page inside `clip` as PNG; what the function `look` says of its ImageData."""
        order = {"format": "png", "clip": {**clip, "scale": 1}}
        data = self.call("Page.captureScreenshot", order)["data"]
        Path(file).write_bytes(base64.b64decode(data))
        return self.js(READ_PNG.replace("LOOK", look).replace("DATA", data), told="reading a screenshot")

    def close(self):
        self.browser.call("Target.closeTarget", {"targetId": self.target})


# A US keyboard: which key, and whether with Shift.
PUNCTUATION = {
    " ": ("Space", 32), "-": ("Minus", 189), "=": ("Equal", 187), "/": ("Slash", 191), ".": ("Period", 190),
    ",": ("Comma", 188), ";": ("Semicolon", 186), "'": ("Quote", 222), "\n": ("Enter", 13),
}
SHIFTED = dict(zip("!@#$%^&*()_+>?<:\"", "1234567890-=./,;'"))


def key_of(character):
    """(key, code, virtual key number, whether shifted) of a character."""
    base = SHIFTED.get(character, character.lower())
    shifted = character in SHIFTED or character.isupper()
    if base.isdigit():
        return character, f"Digit{base}", ord(base), shifted
    if "a" <= base <= "z":
        return character, f"Key{base.upper()}", ord(base.upper()), shifted
    code, number = PUNCTUATION[base]
    return "Enter" if character == "\n" else character, code, number, shifted
