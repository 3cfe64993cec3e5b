"""Waiting for what cannot be blocked on: a look again and again, with an end."""

import errno
import os
import socket
import struct
import time

from lib.env import DEADLINE


def until(look, what="it", timeout=DEADLINE):
    """Calls `look` until it answers something true, and answers that."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}"
        time.sleep(0.0005)


_REQUEST = struct.Struct("=IHHII BBBBI HH16s16sIQ".replace(" ", ""))  # nlmsghdr, inet_diag_req_v2
_SOCK_DIAG_BY_FAMILY, _NLMSG_ERROR, _NLM_F_REQUEST = 20, 2, 1


def _ask_kernel(local, remote):
    """What sock_diag(7) answers of the IPv4 TCP socket `local` <- `remote`; None where there is no such socket."""
    request = _REQUEST.pack(
        _REQUEST.size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0,
        socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF,
        socket.htons(local[1]), socket.htons(remote[1]),
        socket.inet_aton(local[0]), socket.inet_aton(remote[0]), 0, 0xFFFFFFFFFFFFFFFF,
    )  # fmt: skip
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as diag:
        diag.send(request)
        answer = diag.recv(65536)
    (kind,) = struct.unpack_from("=H", answer, 4)
    if kind == _NLMSG_ERROR:
        (error,) = struct.unpack_from("=i", answer, 16)
        assert -error == errno.ENOENT, os.strerror(-error)
        return None
    return answer


def _receive_queue(local, remote):
    """Bytes that the kernel holds for it and that nobody read yet."""
    answer = _ask_kernel(local, remote)
    return answer and struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0]  # idiag_rqueue


def peer_inode(sock):
    """By which the descriptors of the process at the other end of a loopback connection name it; 0: it has
    not been accepted."""
    answer = _ask_kernel(sock.getpeername(), sock.getsockname())
    return answer and struct.unpack_from("=I", answer, 16 + 4 + 48 + 16)[0]  # idiag_inode


def until_read(sock):
    """Until the other end of a loopback TCP connection has read all that was sent: so the next bytes come in
    a read of their own."""
    ours, theirs = sock.getsockname(), sock.getpeername()
    until(lambda: _receive_queue(theirs, ours) in (0, None), "the peer to read")
