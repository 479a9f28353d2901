"""The program's own log: what an instance does, line by line, on standard error.

Whoever reads it may stop reading, and its disk may be full. An instance goes on: its lines are written by a
thread of their own, and lines that nobody takes are counted and dropped.
"""

from __future__ import annotations

import io
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from cronledger.cli.options import LogFormat, LogLevel
from cronledger.cli.render import clean, escaped

ABOUT = {"job": "job", "run": "run_id", "step": "step", "instance": "instance"}
"""What a line may say it is about, and what the record calls it."""

LINES_WAITING = 10_000
FLUSH_SECONDS = 1.0


def configure(level: LogLevel, form: LogFormat) -> None:
    """Write lines of `level` and above in the wanted form."""
    _install(logging.StreamHandler(sys.stderr), level, form)


@contextmanager
def on_a_thread(level: LogLevel, form: LogFormat) -> Iterator[None]:
    """Write lines as `configure` does, while the block lasts, without ever waiting for whoever reads them."""
    handler = ThreadHandler(sys.stderr)
    _install(handler, level, form)
    try:
        yield
    finally:
        handler.close()


def _install(handler: logging.Handler, level: LogLevel, form: LogFormat) -> None:
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text())
    logger = logging.getLogger("cronledger")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.value.upper())


class ThreadHandler(logging.Handler):
    """Hands lines to a thread that writes them; a line that would have to wait for too long is dropped."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.Queue[str | None] = queue.Queue(LINES_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="cronledger-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is queued, as far as it is taken at once."""
        super().close()
        try:
            self._waiting.put(None, timeout=FLUSH_SECONDS)
        except queue.Full:
            return
        self._thread.join(FLUSH_SECONDS)

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                missing = f"{dropped} lines are missing here: nobody took them in time"
                line = f"{self.format(_remark(missing))}\n{line}"
            _write(self._stream, line + "\n")


def _write(stream: TextIO, text: str) -> None:
    """Write past the stream's buffer, whose lock would keep the interpreter from ending."""
    try:
        data = text.encode("utf-8", "backslashreplace")
        descriptor = stream.fileno()
        while data:
            data = data[os.write(descriptor, data) :]
    except (AttributeError, io.UnsupportedOperation):
        stream.write(text)
    except (OSError, ValueError):
        return  # nobody reads, or the disk is full: the ledger has what matters


class _Lines(logging.Formatter):
    """Makes each record a line; of one that cannot be formatted, a line that says so."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self.line(record)
        except Exception as error:  # noqa: BLE001 - a job's own arguments may refuse to be formatted
            said = f"a line cannot be formatted: {type(error).__name__}"
            return self.line(_remark(said, record.name, record.levelno))

    def line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError


class _Text(_Lines):
    def line(self, record: logging.LogRecord) -> str:
        about = "".join(f" {key}={value}" for key, value in _about(record).items())
        lines = [f"{_at(record)} {record.levelname:<7} {record.name}: {record.getMessage()}{about}"]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(clean(line) for line in lines)


class _Json(_Lines):
    def line(self, record: logging.LogRecord) -> str:
        line = {
            "ts": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return escaped(msgspec.json.encode({key: _encodable(value) for key, value in line.items()}).decode())


def _remark(text: str, name: str = "cronledger", level: int = logging.WARNING) -> logging.LogRecord:
    """Return a record of the log's own word about the log."""
    return logging.LogRecord(name, level, "", 0, text, None, None)


def _encodable(text: str) -> str:
    """Return a text whose lone surrogates are written out: JSON has no place for them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _about(record: logging.LogRecord) -> dict[str, str]:
    return {
        key: str(value) for key, name in ABOUT.items() if (value := getattr(record, name, None)) is not None
    }
