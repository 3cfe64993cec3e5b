"""An asyncio loop on a thread, for tests that are not coroutines themselves; and an adapter TCP -> WebSocket."""

import asyncio
import ssl
import threading

from websockets.exceptions import ConnectionClosed
from websockets.legacy.client import connect

from .program import PATIENCE_S

CHUNK_BYTES = 256 * 1024


class Background:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, patience_s=PATIENCE_S):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(patience_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)


def tls_trusting(ca):
    return ssl.create_default_context(cafile=str(ca))


class Adapter:
    """Listens on a free TCP port; each connection becomes a WebSocket to `url`, bytes as binary messages.

    So that ordinary client programs (psql, redis-cli) go through the gateway.
    """

    def __init__(self, background, url, ca, subprotocols=None):
        self.background, self.url, self.subprotocols = background, url, subprotocols
        self.tls = tls_trusting(ca)
        self.server = background.run(asyncio_server(self._serve))
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        async with connect(self.url, ssl=self.tls, subprotocols=self.subprotocols, compression=None,
                           ping_interval=None, max_queue=4) as ws:
            down = asyncio.ensure_future(self._down(ws, writer))
            try:
                while data := await reader.read(CHUNK_BYTES):
                    await ws.send(data)
            except (ConnectionClosed, ConnectionResetError):
                pass
            await ws.close()
            await down

    async def _down(self, ws, writer):
        try:
            async for message in ws:
                writer.write(message)
                await writer.drain()
        except (ConnectionClosed, ConnectionResetError):
            pass
        writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        async def close():
            self.server.close()

        self.background.run(close())


async def asyncio_server(serve):
    return await asyncio.start_server(serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
