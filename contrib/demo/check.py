"""Checks a running demo: its page, and an echo over ws and wss.

usage: check.py WS_ADDRESS WSS_ADDRESS CA_FILE

The standard library has no WebSocket client; the few lines of RFC 6455 that one echo needs are here.
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import sys

TIMEOUT_S = 10
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OPCODE_BINARY, OPCODE_CLOSE = 0x2, 0x8


class NotFine(Exception):
    pass


def expect(seen, wanted, what):
    if seen != wanted:
        raise NotFine(f"{what}: {seen!r}, not {wanted!r}")


def connect(address, ca_file):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
    if ca_file is None:
        return sock
    return ssl.create_default_context(cafile=ca_file).wrap_socket(sock, server_hostname=host)


def request(sock, address, path, *headers):
    """Sends a GET and answers the status, the headers and the stream behind them."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {address}", *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    stream = sock.makefile("rb")
    status = int(stream.readline().split()[1])
    fields = {}
    while line := stream.readline().rstrip(b"\r\n"):
        name, value = line.decode("latin-1").split(":", 1)
        fields[name.strip().lower()] = value.strip()
    return status, fields, stream


def get(address, path, ca_file):
    with connect(address, ca_file) as sock:
        status, fields, stream = request(sock, address, path)
        expect(status, 200, f"status of {path}")
        return fields, stream.read(int(fields["content-length"]))


def check_page(address, ca_file):
    """The page, and every file of ours that it names."""
    fields, page = get(address, "/", ca_file)
    expect(fields["content-type"].split(";")[0], "text/html", "type of /")
    names = re.findall(rb'(?:src|href)="(/?[\w./-]+\.(?:js|css))"', page)
    if not names:
        raise NotFine("the page names no script and no style")
    for name in names:
        get(address, "/" + name.decode().lstrip("./"), ca_file)


def send_frame(sock, opcode, payload):
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    if len(payload) < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload))
    sock.sendall(head + mask + masked)


def read_frame(stream):
    first, length = stream.read(2)
    if length == 126:
        (length,) = struct.unpack("!H", stream.read(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", stream.read(8))
    return first & 0x0F, stream.read(length)


def check_echo(address, ca_file):
    key = base64.b64encode(os.urandom(16)).decode()
    sent = os.urandom(5000)
    with connect(address, ca_file) as sock:
        status, fields, stream = request(
            sock,
            address,
            "/echo",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Protocol: binary",
        )
        expect(status, 101, "status of the upgrade")
        digest = hashlib.sha1((key + ACCEPT_GUID).encode()).digest()
        expect(fields.get("sec-websocket-accept"), base64.b64encode(digest).decode(), "Sec-WebSocket-Accept")
        expect(fields.get("sec-websocket-protocol"), "binary", "subprotocol")

        send_frame(sock, OPCODE_BINARY, sent)
        came = b""
        while len(came) < len(sent):
            opcode, payload = read_frame(stream)
            expect(opcode, OPCODE_BINARY, "opcode of the echo")
            came += payload
        expect(came == sent, True, "the echo is what was sent")

        send_frame(sock, OPCODE_CLOSE, struct.pack("!H", 1000))
        opcode, payload = read_frame(stream)
        expect((opcode, payload[:2]), (OPCODE_CLOSE, struct.pack("!H", 1000)), "the Close that answers ours")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    plain, tls, ca_file = sys.argv[1:]
    try:
        for address, ca in ((plain, None), (tls, ca_file)):
            check_page(address, ca)
            check_echo(address, ca)
    except (NotFine, OSError, ValueError, KeyError, IndexError) as error:
        sys.exit(f"check.py: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
