#!/usr/bin/python3
"""Targets, on one address (by default 127.0.0.1): prints the ports of an echo, a sink that reads and forgets, and a
source without an end, which does not care whether anybody listens."""

import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def data_received(self, data):
        self.transport.write(data)


class Sink(asyncio.Protocol):
    def data_received(self, data):
        pass


class Source(asyncio.Protocol):
    chunk = bytes(64 * 1024)

    def connection_made(self, transport):
        self.transport = transport
        self.stalled = False
        self.resume_writing()

    def pause_writing(self):
        self.stalled = True

    def resume_writing(self):
        self.stalled = False
        while not self.stalled and not self.transport.is_closing():
            self.transport.write(self.chunk)

    def eof_received(self):
        return True  # and goes on

    def connection_lost(self, _):
        self.stalled = True


async def main(host):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # a write to one that has gone, told twice
    servers = [await loop.create_server(kind, host, 0, backlog=4096) for kind in (Echo, Sink, Source)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"))
