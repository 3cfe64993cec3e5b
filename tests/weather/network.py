"""Network namespaces of a test's own: client -- gateway -- target, each link through one that has weather.

    client 10.99.1.1 -- [client link] -- 10.99.1.2 gateway 10.99.2.1 -- [target link] -- 10.99.2.2 target

The links' own ends stand in a fourth namespace, where tests/weather/link.py carries the frames. Names hold the
test's process id; all of it goes with close().
"""

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
OFFLOADS_OFF = (0x15, 0x17, 0x1F, 0x24, 0x2C)  # ETHTOOL_S: RXCSUM, TXCSUM, TSO, GSO, GRO
LINK = Path(__file__).with_name("link.py")
ROLES = ("client", "gateway", "target", "link")
ADDRESSES = {"client": "10.99.1.1", "gateway": "10.99.1.2", "gateway_inner": "10.99.2.1", "target": "10.99.2.2"}
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def sweep():
    """Removes what a run left that was killed."""
    said = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True).stdout
    for name in re.findall(r"^sluice-\w+-\S+", said, re.MULTILINE):
        pid = next(filter(str.isdigit, name.split("-")), "0")
        if not os.path.exists(f"/proc/{pid}"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def missing():
    """Why there can be no namespaces here, or None."""
    if not shutil.which("ip"):
        return "ip (iproute2) is not installed"
    sweep()
    name = f"sluice-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made: {error.stderr.strip()}"
    try:
        ip("-n", name, "link", "add", "name", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"veth pairs cannot be made: {error.stderr.strip()}"
    finally:
        ip("netns", "del", name)
    return None


def _offloads_off(interface):
    """Frames as they would be on a wire: no longer than the MTU, and with their checksums."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in OFFLOADS_OFF:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):  # some kernels fix some of them
                fcntl.ioctl(sock, SIOCETHTOOL, request)


class Network:
    def __init__(self):
        self.made = []
        self.links = {}
        tag = f"{os.getpid()}-{next(_numbers)}"
        self.names = {role: f"sluice-{tag}-{role}" for role in ROLES}
        try:
            for name in self.names.values():
                ip("netns", "add", name)
                self.made.append(name)
                ip("-n", name, "link", "set", "lo", "up")
            self._join("client", "client", "wan", ADDRESSES["client"], "gateway", "wan", ADDRESSES["gateway"])
            self._join("target", "gateway", "lan", ADDRESSES["gateway_inner"], "target", "lan", ADDRESSES["target"])
        except BaseException:
            self.close()
            raise

    def _join(self, link, one, one_interface, one_address, other, other_interface, other_address):
        ends = (f"{link[0]}-one", f"{link[0]}-other")
        for end, role, interface, address in (
            (ends[0], one, one_interface, one_address),
            (ends[1], other, other_interface, other_address),
        ):
            ip("-n", self.names["link"], "link", "add", "name", end, "type", "veth", "peer", "name", interface,
               "netns", self.names[role])  # fmt: skip
            ip("-n", self.names["link"], "link", "set", end, "up")
            ip("-n", self.names[role], "address", "add", f"{address}/24", "dev", interface)
            ip("-n", self.names[role], "link", "set", interface, "up")
            with self.inside(role):
                _offloads_off(interface)
            with self.inside("link"):
                _offloads_off(end)
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.names["link"], sys.executable, str(LINK), *ends],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.links[link] = process
        assert process.stdout.readline() == "ready\n"

    @contextlib.contextmanager
    def inside(self, role):
        """Sockets that this thread makes within are of that namespace, and stay so."""
        here = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.names[role]}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            if _libc.setns(here, CLONE_NEWNET) != 0:
                os.abort()  # nothing that follows would be where it believes to be
            os.close(here)
            os.close(there)

    def prefix(self, role):
        """What makes a command run there."""
        return ("ip", "netns", "exec", self.names[role])

    def order(self, link, words):
        """Has a link change its weather, and waits until it did: `loss 0.05` and so on (link.py)."""
        process = self.links[link]
        process.stdin.write(words + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == words + "\n"

    def set_link(self, role, interface, state):
        """`up`, or `down`: the cable pulled, as its own end sees it."""
        ip("-n", self.names[role], "link", "set", interface, state)

    def slow(self, link, bytes_a_second, queue_bytes=32 * 1024):
        """Both directions of a link, by tbf(8)."""
        # Small packets on slow links, as modems had them: one of 1500 bytes is more than a second of 1 KiB/s.
        mtu = 576 if bytes_a_second < 16 * 1024 else 1500
        ends = {
            "client": (("client", "wan"), ("gateway", "wan")),
            "target": (("gateway", "lan"), ("target", "lan")),
        }[link]
        for role, interface in ends:
            ip("-n", self.names[role], "link", "set", interface, "mtu", str(mtu))
            subprocess.run(
                ["tc", "-n", self.names[role], "qdisc", "add", "dev", interface, "root", "tbf",
                 "rate", f"{bytes_a_second * 8}bit", "burst", "1600", "limit", str(queue_bytes)],
                check=True,
                capture_output=True,
            )  # fmt: skip

    def sysctl(self, role, name, value):
        subprocess.run(
            [*self.prefix(role), "sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}"], check=True
        )

    def close(self):
        for process in self.links.values():
            process.stdin.close()
            process.stdout.close()
            process.kill()
            process.wait()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
