"""Who an event is owed to."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ActorKind(StrEnum):
    """Who speaks: a part of the engine, a person, or a job's own code."""

    ENGINE = "engine"
    OPERATOR = "operator"
    JOB = "job"


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who an event is owed to. The reason they gave lives in the body."""

    kind: ActorKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def engine(cls, part: str) -> Actor:
        """Name a part of the engine."""
        return cls(ActorKind.ENGINE, part)

    @classmethod
    def operator(cls, name: str) -> Actor:
        """Name a person, or a program that acts for one."""
        return cls(ActorKind.OPERATOR, name)

    @classmethod
    def of_job(cls, name: str) -> Actor:
        """Name the job whose code speaks."""
        return cls(ActorKind.JOB, name)
