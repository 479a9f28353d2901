"""A Discord of our own on loopback: it says what it is told to say, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "canary-token-4f7d"
Said = tuple[int, Mapping[str, str]]


class Discord:
    """What was posted, and what is answered: the next of `answers`, and 200 where there is none."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/webhooks/1/{TOKEN}"
        self.answers: list[Said] = []
        self.asked: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.is_silent = False
        self.drips = False
        self.speaks = threading.Event()

    def take(self, path: str, body: bytes) -> Said | None:
        """Take a request; return None for one that is never answered."""
        self.asked.append(path)
        self.messages.append(json.loads(body))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status == 200:
            self.posted.append(self.messages[-1])
        if self.is_silent:
            self.speaks.wait(60)
            return None
        return status, headers


@contextmanager
def discord() -> Iterator[Discord]:
    """Give a server that is there while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = there.take(self.path, body)
            if there.drips:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not there.speaks.wait(0.05):
                    self.wfile.write(b"y")
                return
            if said is None:
                return
            self.send_response(said[0])
            for name, value in said[1].items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_GET(self) -> None:
            there.asked.append(f"GET {self.path}")

        def log_message(self, *_words: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_about: Any) -> None:
            """A client that has gone is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    there = Discord(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.speaks.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
