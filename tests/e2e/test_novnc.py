"""A desktop in a browser: Chromium -> noVNC -> Sluice (the page and the WebSocket) -> TigerVNC -> xterm."""

import os

import pytest

from parts.program import Program, free_port, wait_until

PACKAGES = {
    "chromium": "chromium",
    "/usr/share/novnc/vnc.html": "novnc",
    "Xtigervnc": "tigervnc-standalone-server",
    "xterm": "xterm",
    "/usr/share/fonts/**/DejaVuSansMono.ttf": "fonts-dejavu-core",
}

# How many pixels of an image are light and dark: an xterm is black letters on a white ground.
COUNT = """({data}) => {
  let light = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] > 200 && data[i + 1] > 200 && data[i + 2] > 200) light++;
    else if (data[i] < 60 && data[i + 1] < 60 && data[i + 2] < 60) dark++;
  }
  return {light, dark};
}"""

# Well inside the xterm, which stands in the desktop's upper left corner: what is dark there is letters.
WIDTH, HEIGHT = 900, 600

# The same of that part of the desktop; null where there is none yet.
LIGHT_AND_DARK = f"""
(() => {{
  const canvas = document.querySelector("canvas");
  return canvas && canvas.width && ({COUNT})(canvas.getContext("2d").getImageData(0, 0, {WIDTH}, {HEIGHT}));
}})()
"""
DRAWN = f"(c => c && c.light > {WIDTH * HEIGHT * 0.9} && c.dark > 50)({LIGHT_AND_DARK})"


class Desktop:
    """An X server that speaks VNC on a free port, and an xterm in it."""

    def __init__(self, folder):
        self.port = free_port()
        read_end, write_end = os.pipe()
        self.server = Program(
            f"Xtigervnc -displayfd {write_end} -rfbport {self.port} -localhost -SecurityTypes None -nolisten tcp"
            " -geometry 1024x768 -depth 24 -desktop sluice".split(),
            pass_fds=[write_end],
        )
        os.close(write_end)
        with os.fdopen(read_end) as told:
            display = told.readline().strip()
        assert display, f"Xtigervnc did not start:\n{self.server.text()}"
        self.xterm = Program(
            ["xterm", "-display", f":{display}", "-fa", "DejaVu Sans Mono", "-fs", "20", "-geometry", "58x20+0+0",
             "-bg", "white", "-fg", "black", "-e", "/bin/sh"],
            cwd=folder,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.xterm.end()
        self.server.end()


@pytest.fixture
def desktop(tmp_path):
    with Desktop(tmp_path) as one:
        yield one


def routes(port):
    return f"""\
  - {{path: /websockify, target: "tcp://127.0.0.1:{port}"}}
  - {{path: /*, files: /usr/share/novnc}}
"""


def test_a_desktop_in_the_browser(gateway, desktop, chromium, tmp_path, out):
    sluice = gateway(routes(desktop.port))
    page = chromium.page(sluice.url("/vnc.html?autoconnect=true&resize=off&reconnect=false", scheme="https"))

    page.wait_js(DRAWN)
    before = page.js(LIGHT_AND_DARK)
    socket = page.js("window.sluiceSockets[0]")
    assert socket["opened"] and socket["close"] is None
    assert socket["url"] == sluice.url("/websockify")
    assert page.js("window.sluiceSockets.length") == 1

    place = page.js("(({x, y}) => ({x, y}))(document.querySelector('canvas').getBoundingClientRect())")
    clip = {**place, "width": WIDTH, "height": HEIGHT}
    page.click(place["x"] + 300, place["y"] + 200)
    file = tmp_path / "typed"
    page.type(f"echo sluice-$((6*7)) > {file}\n")
    wait_until(lambda: file.exists() and file.read_text() == "sluice-42\n", "what was typed in the browser")

    page.type("seq -s ' ' 300\n")  # output that the screen shows: more ink than before
    inked = before["dark"] + 30_000  # half of them
    page.wait_js(f"({LIGHT_AND_DARK}).dark > {inked}")

    def seen():
        """What a user sees: a frame may be older than the canvas that the page has just been asked about."""
        return page.screenshot(out / "novnc.png", clip, COUNT)["dark"] > inked

    wait_until(seen, "the letters in a screenshot")

    desktop.server.end()
    told = page.wait_js("window.sluiceSockets[0].close")
    # Which of the two it is, the server's kernel decides: a reset where the server left something of noVNC's unread.
    # Not `clean`: noVNC answers the server's last bytes, and Chromium calls an end unclean when the page has given it
    # bytes that came too late to be sent.
    cause = {
        (1000, "target ended the connection"): "target_eof",
        (1014, "target reset the connection"): "target_reset",
    }[told["code"], told["reason"]]
    end = sluice.wait_event("session_end", cause=cause, code=told["code"])
    assert int(end["down_bytes"]) > 10_000 and int(end["up_bytes"]) > 500
    page.close()


def test_the_small_page_too(gateway, desktop, chromium):
    sluice = gateway(routes(desktop.port))
    page = chromium.page(sluice.url("/vnc_lite.html?path=websockify", scheme="https"))
    page.wait_js(DRAWN)
    page.wait_js("document.getElementById('status').textContent.startsWith('Connected to ')")
    page.close()  # the user closes the tab: the browser sends Close 1001 for the page
    sluice.wait_event("session_end", cause="client_close", code=1001)
