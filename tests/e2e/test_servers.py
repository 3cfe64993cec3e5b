"""Real servers behind Sluice, and their own client programs in front of it.

The programs speak TCP; parts/background.py's Adapter makes each of their connections one WebSocket.
"""

import asyncio
import glob
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from websockets.legacy.client import connect

from parts.background import Adapter, tls_trusting
from parts.gateway import event_of
from parts.program import PATIENCE_S, Program, free_port, wait_until

PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "redis-benchmark": "redis-tools",
    "/usr/lib/postgresql/*/bin/initdb": "postgresql",
    "psql": "postgresql-client",
    "/usr/sbin/mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
}

ROWS = 200_000


def run(*argv, data=b"", **options):
    done = subprocess.run([str(word) for word in argv], input=data, capture_output=True, timeout=4 * PATIENCE_S,
                          **options)
    assert done.returncode == 0, f"{argv[0]}: {done.stderr.decode()}"
    return done.stdout


def session_bytes(sluice):
    """The bytes of all sessions that have ended, by direction."""
    ends = [event for line in list(sluice.lines) if (event := event_of(line)) and event["event"] == "session_end"]
    return {way: sum(int(end[way]) for end in ends) for way in ("up_bytes", "down_bytes")}


@pytest.fixture
def through(gateway, background, certs):
    """The TCP port behind which a target is: client -> adapter -> wss -> gateway -> target."""
    adapters = []

    def start(target, more="", subprotocols=None):
        sluice = gateway(f"  - {{path: /x, target: '{target}'{more}}}")
        adapters.append(Adapter(background, sluice.url("/x"), certs / "ca.crt", subprotocols))
        return adapters[-1].port, sluice

    yield start
    for adapter in adapters:
        adapter.__exit__()


@pytest.fixture
def redis(tmp_path):
    port = free_port()
    with Program(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
                 cwd=tmp_path) as server:
        server.wait_line("Ready to accept connections")
        yield port


def test_redis(redis, through):
    port, sluice = through(f"tcp://127.0.0.1:{redis}")
    cli = ["redis-cli", "-p", port]
    assert run(*cli, "ping") == b"PONG\n"
    value = os.urandom(2 * 1024 * 1024).hex().encode()
    assert run(*cli, "-x", "set", "big", data=value) == b"OK\n"
    assert run(*cli, "get", "big").rstrip(b"\n") == value
    many = b"".join(b"SET key:%d %d\r\n" % (i, i * i) for i in range(20_000))
    assert b"errors: 0, replies: 20000\n" in run(*cli, "--pipe", data=many)
    assert run(*cli, "get", "key:19999") == b"399960001\n"
    end = sluice.wait_event("session_end", cause="client_close", code=1000)
    assert int(end["up_bytes"]) > 0


def test_redis_benchmark(redis, through, tell):
    port, _ = through(f"tcp://127.0.0.1:{redis}")
    told = run("redis-benchmark", "-p", port, "-c", "20", "-n", "20000", "-P", "16", "-d", "512", "-t", "set,get",
               "--csv").decode()
    rates = {words[0]: float(words[1]) for line in told.splitlines()[1:] if (words := line.replace('"', "").split(","))}
    assert set(rates) == {"SET", "GET"} and min(rates.values()) > 0
    tell(f"redis-benchmark through the adapter: {rates['SET']:.0f} SET/s, {rates['GET']:.0f} GET/s")


class Postgres:
    """A server of its own on a Unix socket alone. It refuses to run as root, so root lends it Debian's account."""

    def __init__(self):
        self.binaries = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.user = "postgres" if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))  # short, for sun_path, and open to that account
        os.chmod(self.folder, 0o711)  # also to a gateway of root's, whose workers have no capability to pass by that
        options = {"cwd": self.folder}
        if self.user:
            shutil.chown(self.folder, self.user)
            account = pwd.getpwnam(self.user)
            options.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        data = self.folder / "data"
        run(self.binaries / "initdb", "--no-sync", "-A", "trust", "-U", "sluice", "-E", "UTF8", "--locale=C", "-D",
            data, **options)
        self.program = Program(
            [self.binaries / "postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=", "-F"], **options
        )
        self.program.wait_line("ready to accept connections")
        self.target = f"unix:{self.folder}/.s.PGSQL.5432"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.end()
        shutil.rmtree(self.folder)


def test_postgresql(through, tmp_path):
    with Postgres() as postgres:
        port, sluice = through(postgres.target)
        psql = ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", port, "-U", "sluice", "-d", "postgres",
                "-v", "ON_ERROR_STOP=1", "-c"]
        rows = "".join(f"{i}\t{hashlib.md5(str(i).encode()).hexdigest()}\n" for i in range(ROWS))
        (tmp_path / "rows").write_text(rows)
        run(*psql, "create table t (i int primary key, v text)")
        run(*psql, f"\\copy t from '{tmp_path}/rows'")
        whole = hashlib.md5("".join(line.split("\t")[1] for line in rows.splitlines()).encode()).hexdigest()
        assert run(*psql, "select count(*), md5(string_agg(v, '' order by i)) from t") == f"{ROWS}|{whole}\n".encode()
        run(*psql, f"\\copy (select * from t order by i) to '{tmp_path}/back'")
        assert (tmp_path / "back").read_text() == rows
        wait_until(lambda: session_bytes(sluice)["up_bytes"] > len(rows), "the log of the COPY in")
        wait_until(lambda: session_bytes(sluice)["down_bytes"] > len(rows), "the log of the COPY out")


@pytest.fixture
def mosquitto(tmp_path):
    port = free_port()
    file = tmp_path / "mosquitto.conf"
    me = pwd.getpwuid(os.getuid()).pw_name
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {me}\nlog_dest stderr\nlog_type all\n")
    with Program(["/usr/sbin/mosquitto", "-c", file]) as broker:
        broker.wait_line(r"mosquitto version \S+ running")
        yield port, broker


def test_mqtt_programs(mosquitto, through):
    broker_port, broker = mosquitto
    port, sluice = through(f"tcp://127.0.0.1:{broker_port}", ", subprotocol: mqtt", ["mqtt"])
    message = os.urandom(64 * 1024)
    at = ["-h", "127.0.0.1", "-p", str(port), "-t", "sluice", "-q", "1"]
    with subprocess.Popen(["mosquitto_sub", *at, "-C", "1", "-N"], stdout=subprocess.PIPE) as subscriber:
        broker.wait_line("Sending SUBACK")
        run("mosquitto_pub", *at, "-s", data=message)
        assert subscriber.communicate(timeout=PATIENCE_S)[0] == message
    wait_until(lambda: session_bytes(sluice)["up_bytes"] > len(message), "the log of the publisher's session")
    wait_until(lambda: session_bytes(sluice)["down_bytes"] > len(message), "the log of the subscriber's session")


def test_mqtt_as_a_browser_speaks_it(mosquitto, gateway, certs):
    """MQTT 3.1.1 section 6: subprotocol `mqtt`, binary messages, packets cut anywhere."""
    sluice = gateway(f"  - {{path: /mqtt, subprotocol: mqtt, target: 'tcp://127.0.0.1:{mosquitto[0]}'}}")

    async def session():
        url = sluice.url("/mqtt")
        async with connect(url, ssl=tls_trusting(certs / "ca.crt"), subprotocols=["mqtt", "mqttv3.1"],
                           origin=f"https://127.0.0.1:{sluice.port}") as ws:
            assert ws.subprotocol == "mqtt"
            packets = (
                b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06sluice"  # CONNECT, clean session, id `sluice`
                b"\x82\x06\x00\x01\x00\x01t\x00"  # SUBSCRIBE 1: t, QoS 0
                b"\x30\x08\x00\x01thello"  # PUBLISH t: hello
                b"\xc0\x00"  # PINGREQ
            )
            for byte in packets:
                await ws.send(bytes([byte]))
            wanted = {b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00", b"\x30\x08\x00\x01thello", b"\xd0\x00"}
            came = b""
            while len(came) < sum(map(len, wanted)):
                came += await ws.recv()
            assert came.startswith(b"\x20\x02\x00\x00") and all(packet in came for packet in wanted)
            await ws.send(b"\xe0\x00")  # DISCONNECT: the broker ends the connection
            await ws.wait_closed()
            return ws.close_code, ws.close_reason

    assert asyncio.run(asyncio.wait_for(session(), PATIENCE_S)) == (1000, "target ended the connection")
    sluice.wait_event("session_end", cause="target_eof", code=1000)
