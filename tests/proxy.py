"""A TCP proxy that delays, holds and cuts: for tests of what a network does to a connection."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Literal, Self

from tests.waiting import eventually

Way = tuple[socket.socket, socket.socket]


class Proxy:
    """Passes bytes between clients and a server on loopback until told otherwise.

    What comes from a side that is held is kept, in order, and passed on afterwards: the connections stay
    open, as over a network that has lost its route.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.delay_seconds = 0.0
        self._delayed: deque[tuple[float, socket.socket, bytes]] = deque()
        self._held: frozenset[str] = frozenset()
        self._turns = 0
        self._pairs: list[Way] = []
        self._closing = False
        self._nudge, self._nudged = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._nudge.send(b".")
        self._thread.join()
        self._listening.close()
        self._nudge.close()
        self._nudged.close()

    def url(self, url: str) -> str:
        """Return a database URL that leads through here."""
        return url.replace(f":{self._target[1]}/", f":{self.port}/")

    @property
    def connections(self) -> int:
        """How many lead through here."""
        return len(self._pairs)

    def hold(self, *sides: Literal["requests", "replies"]) -> None:
        """Hold what comes from these sides from now on, and nothing else."""
        self._held = frozenset(sides)
        turns = self._turns
        assert eventually(lambda: self._turns > turns + 1)

    def cut(self) -> None:
        """Cut every connection; what was held is lost, new connections are welcome, and nothing is held."""
        pairs = list(self._pairs)
        for pair in pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self.hold()
        assert eventually(lambda: not any(pair in self._pairs for pair in pairs))

    def _run(self) -> None:
        while not self._closing:
            self._turns += 1
            ways = [way for pair in self._pairs for way in self._open_ways(*pair)]
            watched = [self._listening, self._nudged, *(source for source, _ in ways)]
            ready, _, _ = select.select(watched, [], [], 0.02)
            if self._listening in ready:
                self._accept()
            ended = [way for way in ways if way[0] in ready and not self._passed(*way)]
            self._deliver()
            for pair in list(self._pairs):
                if any(source in pair for source, _ in ended):
                    self._pairs.remove(pair)
                    _close(pair)
        for pair in self._pairs:
            _close(pair)

    def _open_ways(self, client: socket.socket, server: socket.socket) -> Iterator[Way]:
        if "requests" not in self._held:
            yield client, server
        if "replies" not in self._held:
            yield server, client

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        server = socket.create_connection(self._target)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append((client, server))

    def _passed(self, source: socket.socket, target: socket.socket) -> bool:
        """Pass on what is there, now or later; return whether both ends are still open."""
        try:
            data = source.recv(65536)
            if self.delay_seconds or self._delayed:
                self._delayed.append((monotonic() + self.delay_seconds, target, data))
            else:
                target.sendall(data)
        except OSError:
            return False
        return data != b""

    def _deliver(self) -> None:
        while self._delayed and self._delayed[0][0] <= monotonic():
            _, target, data = self._delayed.popleft()
            with suppress(OSError):
                target.sendall(data)


def _close(pair: Way) -> None:
    for each in pair:
        each.close()
