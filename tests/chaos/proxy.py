"""A wire between one instance and PostgreSQL that can be held, cut, slowed and muted.

One thread and loop for each proxy. Held bytes are kept and delivered later, as by a network that stalls;
muted answers are lost for good, as if the connection broke after the commit and before the reply.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

CHUNK = 65536
NOTICE = b"cronledger\0"
"""What a notification of ours contains: the channel."""


class _Wire:
    """What is known of one connection."""

    is_silenced = False
    listens = False


class Proxy:
    """Listens on a port of loopback and passes everything on to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._delay = 0.0
        self._mutes = False
        self._refuses = False
        self._silenced: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()

    @classmethod
    def before(cls, url: str) -> Proxy:
        """Return a proxy in front of the server that a URL names."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 5432)

    def hold(self) -> None:
        """Take bytes and deliver none, until released."""
        self._call(self._open.clear)

    def release(self) -> None:
        """Deliver what was held, and pass everything on again."""
        self._call(self._release)

    def cut(self) -> None:
        """Close every connection."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Close every connection, and every new one at once."""
        self._call(self._refuse)

    def slow(self, seconds: float) -> None:
        """Deliver everything so much later, each way."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def mute(self) -> None:
        """Lose what the server says, until released; then the connections are cut."""
        self._call(lambda: setattr(self, "_mutes", True))

    def silence(self, purpose: str) -> None:
        """Deliver nothing that the server says on new connections whose application name ends so."""
        self._silenced = purpose.encode() + b"\0"

    def close(self) -> None:
        """Close everything and end the thread."""
        if self._loop.is_closed():
            return
        with suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    # --- on the loop ------------------------------------------------------------------------------------

    def _call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def _release(self) -> None:
        if self._mutes:
            self._cut()
        self._delay, self._mutes, self._refuses = 0.0, False, False
        self._open.set()

    def _refuse(self) -> None:
        self._refuses = True
        self._cut()

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _shut(self) -> None:
        self._server.close()
        self._cut()
        for each in list(self._tasks):
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        wire = _Wire()
        for pump in (self._pump(reader, back, wire), self._pump(there, writer, wire, is_answer=True)):
            pumping = self._loop.create_task(pump)
            self._tasks.add(pumping)
            pumping.add_done_callback(self._tasks.discard)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        wire: _Wire,
        *,
        is_answer: bool = False,
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if not is_answer:
                    # The first words name the connection; its LISTEN is answered, what it waits for is not.
                    wire.is_silenced |= bool(self._silenced and self._silenced in chunk)
                    wire.listens |= b"LISTEN" in chunk
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._open.wait()
                if is_answer and (self._mutes or (wire.is_silenced and wire.listens and NOTICE in chunk)):
                    continue
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


def proxied(url: str, port: int) -> str:
    """Return a URL by way of a port of loopback."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}127.0.0.1:{port}").geturl()
