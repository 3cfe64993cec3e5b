"""The real binary with a configuration of the test's own."""

import os
import re
from pathlib import Path

from .program import PATIENCE_S, Program

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / os.environ.get("OUT", "build")
POLLER = os.environ.get("SLUICE_E2E_POLLER", "auto")
SANITIZER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:")
FIELD = re.compile(r'([a-z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")


def plain(quoted):
    """A quoted value of the log without its escapes."""
    return ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else {"n": "\n"}.get(m[1], m[1]), quoted)


def event_of(line):
    """One log line as a dict with `event` and `level`; None for what is none."""
    words = line.split(" ", 3)
    if len(words) < 3 or not re.match(r"\d{4}-\d\d-\d\dT", words[0]):
        return None
    event = {"level": words[1], "event": words[2]}
    for key, quoted, bare in FIELD.findall(words[3] if len(words) > 3 else ""):
        event[key] = plain(quoted) if quoted else bare
    return event


class Gateway(Program):
    """Runs from `with` to its end; then it must exit 0 and no sanitizer may have spoken."""

    def __init__(self, folder, config):
        binary = OUT / "sluice"
        assert binary.exists(), f"{binary}: not there: run `make` first (or set OUT)"
        file = Path(folder) / "sluice.yaml"
        file.write_text(config)
        super().__init__([binary, "-c", file])
        try:
            ready = self.wait_event("ready")
        except AssertionError:
            self.end()
            raise
        ports = (address.rpartition(":")[2] for address in ready["listen"].split(","))
        self.ports = [int(port) if port.isdigit() else None for port in ports]  # a unix socket has none

    @property
    def port(self):
        return self.ports[0]

    def url(self, path, host="127.0.0.1", scheme="wss"):
        return f"{scheme}://{host}:{self.port}{path}"

    def wait_event(self, name, start=0, patience_s=PATIENCE_S, **fields):
        def pick(line):
            event = event_of(line)
            wanted = event and event["event"] == name and all(event.get(k) == str(v) for k, v in fields.items())
            return event if wanted else None

        return self.find(pick, f"the log line `{name}` with {fields}", patience_s, start)

    def __exit__(self, kind, *_):
        status = self.end()
        if kind is None:
            assert not SANITIZER.search("\n".join(self.lines)), self.text()
            assert status == 0, f"sluice ended with {status}:\n{self.text()}"


def config(certs, routes, extra=""):
    """A TLS listener on a free port of the loopback, and these routes (a YAML list, indented or not). Its end
    waits for sessions only a moment, where `extra` says nothing else."""
    if "timeouts:" not in extra:
        extra += "\ntimeouts: {drain: 1s}"
    return f"""\
poller: {POLLER}
listen:
  address: 127.0.0.1:0
  tls: {{certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}}}
{extra}
routes:
{routes}
"""
