"""What every gateway of these tests is used for, seen from the outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

from lib.admin import Admin  # noqa: E402
from lib.env import SLUICE  # noqa: E402
from lib.ws import request  # noqa: E402

PATIENCE = 20
CONTENT = b"a file\n" * 3000
LISTEN = """
listen:
  - address: 127.0.0.1:0
  - address: 127.0.0.1:0
    tls: {{certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}}}
{third}
"""
AT_FIRST = """
  - address: 127.0.0.1:0
    proxy_protocol: require
    trusted_proxies: [127.0.0.1]
"""
AFTER_RELOAD = """
  - address: unix:{run}/new.sock
    mode: "0660"
"""
ROUTES = """
admin: {{address: 127.0.0.1:0}}
routes:
  - {{name: tcp, path: /tcp, target: "tcp://127.0.0.1:{tcp}", subprotocol: [binary, none]}}
  - {{name: tls, path: /tls, target: "tls://localhost:{tls}", target_tls: {{ca: {certs}/ca.crt}}, on_unreachable: http}}
  - {{name: named, path: /named, target: "tcp://{name}:{tcp}"}}
  - {{name: proxied, path: /proxied, target: "tcp://127.0.0.1:{tcp}", target_proxy_protocol: v2}}
  - {{name: download, path: /download, target: "tcp://127.0.0.1:{source}"}}
  - {{name: idle, path: /idle, target: "tcp://127.0.0.1:{tcp}", timeouts: {{idle: 200ms}}}}
  - {{name: kill, path: /kill, target: "tcp://127.0.0.1:{tcp}"}}
  - {{path: /www/*, files: {folder}}}
timeouts: {{handshake: 5s, connect: 2s, close: 1s, drain: 1s}}
log: {{level: debug}}
reload: {{revoke: true}}
poller: {poller}
workers: 2
{user}
"""
# Ends of sessions that are as they should be, by the route.
WANTED = {"idle": "idle", "kill": "killed", "download": "target_eof"}


class Told(AssertionError):
    """It did not come to pass, and who asked was told why."""


class Steps:
    """Each fails where something is not as it should be."""

    def __init__(self, gateway, bench, env, download_bytes):
        self.gateway = gateway
        self.bench = bench
        self.env = env
        self.download_bytes = download_bytes

    def session(self, path, listener=0, tls=False, before=b"", behind=b""):
        """`before` goes ahead of all else, `behind` is what the target says first."""
        client = self.gateway.connect(listener, tls=self.bench.client_tls if tls else None)
        try:
            if before:
                client.send(before)
            client.upgrade(path)
            payload = os.urandom(3000)
            client.send_binary(payload)
            got = b""
            while not got.endswith(payload):
                assert len(got) < 2 * len(payload), f"{len(got)} bytes, which are none of those that were sent"
                got += client.take_data_frame().payload
            assert got.startswith(behind) and bool(behind) == (len(got) > len(payload))
            client.send_close(1000)
            _, code, reason = client.take_close()
            assert code == 1000, f"{code} {reason}"
        finally:
            client.close()

    def proxied(self):
        """A PROXY header from a proxy, and one to the target."""
        header = b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\n"
        self.session("/proxied", 2, before=header, behind=b"\r\n\r\n\0\r\nQUIT\n")

    def download(self):
        client = self.gateway.connect(0)
        try:
            client.upgrade("/download")
            client.send_binary(b"%d\n" % self.download_bytes)
            got, code, _ = client.take_close()
            assert code == 1000 and len(got) == self.download_bytes, f"{code}, {len(got)} bytes"
            assert got == self.bench.source(self.download_bytes), "the bytes are others"
        finally:
            client.close()

    def file(self, span=None):
        client = self.gateway.connect(0)
        try:
            more = [("Connection", "close")] + ([("Range", f"bytes={span[0]}-{span[1]}")] if span else [])
            answer = client.ask(request("/www/a", upgrade=False, headers=more))
            want = CONTENT[span[0] : span[1] + 1] if span else CONTENT
            assert answer.status == (206 if span else 200), answer.status
            assert answer.body == want, f"{len(answer.body)} bytes"
        finally:
            client.close()

    def refusal(self):
        client = self.gateway.connect(0)
        try:
            status = client.ask(request("/none", upgrade=False)).status
            assert status == 404, status
        finally:
            client.close()

    def idle(self):
        client = self.gateway.connect(0)
        try:
            _, code, _ = client.upgrade("/idle").take_close()
            assert code == 1001, code
        finally:
            client.close()

    # The admin process

    @property
    def admin(self):
        return Admin(self.gateway.events("ready")[0]["admin"])

    def ask(self, method, path):
        """The text of its answer."""
        answer = self.admin.ask(method, path)
        if answer.status >= 500:
            raise Told(f"{answer.status}")
        assert answer.status == 200, answer
        return answer.text

    def pages(self):
        assert self.ask("GET", "/healthz") == "ok\n"
        assert self.ask("GET", "/readyz") == "ready\n"
        assert "sluice_sessions" in self.ask("GET", "/metrics")
        assert len(json.loads(self.ask("GET", "/workers"))) in (1, 2)

    def kill(self):
        """A session is listed, and ended."""
        client = self.gateway.connect(0)
        try:
            client.upgrade("/kill")
            said = json.loads(self.ask("GET", "/sessions?route=kill"))
            if said["silent_workers"]:
                raise Told("silent workers")
            assert [one["id"] for one in said["sessions"]] == [client.session_id], said
            said = json.loads(self.ask("DELETE", f"/sessions/{client.session_id}"))
            assert said["ended"] == 1, said
            _, code, _ = client.take_close()
            assert code == 1008, code
        finally:
            client.close()

    def ctl(self, *command):
        """From the command line; its own calls fail like those of the others."""
        address = self.gateway.events("ready")[0]["admin"]
        done = subprocess.run(
            [SLUICE, "ctl", "--admin", address, *command],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode == 0:
            assert done.stdout, "ctl says nothing"
        elif done.returncode > 0 and len(done.stderr) > 8:
            raise Told("ctl")
        else:
            assert done.returncode == 0, f"ctl: exit status {done.returncode}, {done.stderr!r}"
