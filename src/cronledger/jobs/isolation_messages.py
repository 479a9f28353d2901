"""What an instance and the process of an isolated run say to each other, and in which form.

    instance                        process
    Setup              ->                      the code, its parameters and all that is secret
                       <-  Said, Moved         log lines and progress, at any time
                       <-  StepAsked           may this step begin?
    StepBegun          ->                      it is recorded; or StepGiven, or StepRefused
                       <-  StepWorked          how its work came out
    StepGiven          ->                      that is recorded; or StepRefused
    Stop               ->                      at any time: the run shall end
                       <-  Ended               what the job returned or raised

Each message is its length in four bytes and MessagePack. Only the `Setup` is a pickle: the instance trusts
itself, and reads nothing from the process but plain values.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from cronledger.domain.result import JobResult
from cronledger.errors import CronledgerError

MOST_BYTES = 16 * 1024 * 1024
"""The longest message that is read."""
HEADER = struct.Struct(">I")


class RaisedApart(Exception):
    """Code in the process of an isolated run has raised something; `told` is what is kept of it."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


class NotIsolated(CronledgerError):
    """A job with a process of its own asked for something that lives in the instance's process."""

    code = "not_isolated"

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} is not there in a process of its own", hint=hint)
        self.what = what


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the process needs; what may be secret comes this way and no other.

    `config` holds for each key its value, or the sentence that says why it cannot be had.
    """

    job: bytes
    path: list[str]
    arguments: list[str]
    environment: dict[str, str]
    log_level: int
    own_log_level: int
    run: dict[str, Any]
    params: Any
    config: dict[str, tuple[Any, str | None]]
    enforce: bool
    idempotency_key: str
    root: str
    database_url: str | None
    has_database: bool


class Said(msgspec.Struct, tag=True, frozen=True):
    """A log line; of a step, if code of one logged it."""

    logger: str
    level: int
    text: str
    step: str | None


class Moved(msgspec.Struct, tag=True, frozen=True):
    """How far the run is."""

    done: Any
    total: Any
    message: Any


class StepAsked(msgspec.Struct, tag=True, frozen=True):
    """A step wants to begin: a block, or round a call; `skipped` says why it is left out instead."""

    number: int
    name: str
    on_error: str = "stop"
    is_block: bool = False
    skipped: str | None = None


class StepWorked(msgspec.Struct, tag=True, frozen=True):
    """How the work of a step came out; `value` is what it returned, or reported as its result."""

    number: int
    error: str | None = None
    value: Any = None
    result: JobResult | None = None
    processed: int | None = None
    failed: int | None = None
    message: str | None = None


class Ended(msgspec.Struct, tag=True, frozen=True):
    """What the job returned, or what is kept of what it raised."""

    result: JobResult | None = None
    error: str | None = None


class Stop(msgspec.Struct, tag=True, frozen=True):
    """The run shall end. SIGTERM comes with it; alone it means nothing: service managers send it to all."""


class StepBegun(msgspec.Struct, tag=True, frozen=True):
    """The beginning of a step is recorded: its work may be done."""

    number: int


class StepGiven(msgspec.Struct, tag=True, frozen=True):
    """What whoever awaits a step is given; the end of the step is recorded."""

    number: int
    value: Any = None
    result: JobResult | None = None


class StepRefused(msgspec.Struct, tag=True, frozen=True):
    """What whoever awaits a step has to be told: a failed step by its name, else a refusal."""

    number: int
    error: str
    hint: str | None = None
    failed_step: str | None = None
    is_duplicate: bool = False


Upward = Said | Moved | StepAsked | StepWorked | Ended
Downward = Stop | StepBegun | StepGiven | StepRefused

_encode = msgspec.msgpack.Encoder().encode
read_upward = msgspec.msgpack.Decoder(Upward).decode
read_downward = msgspec.msgpack.Decoder(Downward).decode


def framed(message: Upward | Downward) -> bytes:
    """Return the bytes of a message."""
    return with_length(_encode(message))


def with_length(data: bytes) -> bytes:
    """Put the length before the bytes."""
    return HEADER.pack(len(data)) + data
