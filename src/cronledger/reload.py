"""Reloading: files that have changed become this instance's configuration while it runs.

All of it or nothing: files with a problem change nothing, and the problem is recorded. Only files are read
anew; the code of jobs is what was imported at the start.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator

import anyio
import anyio.to_thread
import msgspec

from cronledger.config.model import Settings
from cronledger.config.resolve import Resolution, resolve
from cronledger.config.sources import Sources
from cronledger.domain import events as e
from cronledger.domain.ids import CONFIG
from cronledger.domain.job import FILES
from cronledger.engine.definitions import compared
from cronledger.errors import ConfigError, Conflict, CronledgerError, LedgerUnreachable, Outdated
from cronledger.jobs.registry import Registry
from cronledger.ledger.api import START, Item, Write
from cronledger.strict_yaml.problem import recordable
from cronledger.world import ProcessWorld

log = logging.getLogger("cronledger.config")
LOOK_SECONDS = 1.0
MOST_PROBLEMS = 20

NOT_WHILE_RUNNING = {
    "extensions": "scheduler.extensions",
    "application_database_url": "application.database_url",
    "startup_wait_seconds": "scheduler.startup_wait_seconds",
}
"""Settings that are used once, at the start."""

Adopt = Callable[[Settings, Resolution], None]


class Reloader:
    """Looks at the files about once a second, and hands over what they say when it is new and right."""

    def __init__(
        self,
        sources: Sources,
        registry: Registry,
        world: ProcessWorld,
        *,
        carried: tuple[Settings, Resolution],
        adopt: Adopt,
    ) -> None:
        self._sources = sources
        self._registry = registry
        self._world = world
        self._settings, self._resolution = carried
        self._adopt = adopt
        self._rejected: tuple[str, ...] = ()
        self._unsaid: deque[e.Event] = deque()
        self._woken = anyio.Event()
        self._is_asked = False
        self._looking = anyio.CancelScope()

    def request(self) -> None:
        """Read the files now, whether or not they seem to have changed."""
        self._is_asked = True
        self._woken.set()

    def stop(self) -> None:
        """Look no more; what the ledger has not heard by now may stay unsaid."""
        self._looking.cancel()

    async def run(self) -> None:
        """Look and reload until stopped."""
        with self._looking:
            while True:
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._woken.wait()
                self._woken = anyio.Event()
                asked, self._is_asked = self._is_asked, False
                if await anyio.to_thread.run_sync(self._sources.have_settled) or asked:
                    await self._reload(asked=asked)
                await self._tell()

    async def _reload(self, *, asked: bool) -> None:
        refused: ConfigError | None = None
        try:
            settings, resolution = await anyio.to_thread.run_sync(self._read)
        except ConfigError as error:
            refused = error
        except (CronledgerError, OSError, RecursionError, ValueError) as error:
            # Nothing in the files may end the instance; the message itself may hold a secret of theirs.
            refused = ConfigError([f"the files cannot be read: {type(error).__name__}"])
        if not await anyio.to_thread.run_sync(self._sources.are_as_read):
            return  # they were written to meanwhile: they are read again once they have come to rest
        if refused is not None:
            self._reject(refused)
        elif (settings, resolution) != (self._settings, self._resolution) or self._rejected:
            self._accept(settings, resolution)
        elif asked:
            log.info("the files say what they said before: configuration %s", resolution.revision)

    def _read(self) -> tuple[Settings, Resolution]:
        settings = self._sources.load()
        return settings, resolve(settings, self._registry)

    def _accept(self, settings: Settings, resolution: Resolution) -> None:
        for setting in _needing_a_restart(self._settings, settings):
            log.warning("%s has changed: it needs a restart", setting)
        if self._rejected or resolution.revision != self._resolution.revision:
            self._unsaid.append(_loaded(self._resolution, resolution))
        log.info("configuration %s is loaded from %s", resolution.revision, ", ".join(settings.files))
        self._settings, self._resolution, self._rejected = settings, resolution, ()
        self._adopt(settings, resolution)

    def _reject(self, error: ConfigError) -> None:
        problems = tuple(recordable(problem) for problem in error.problems[:MOST_PROBLEMS])
        if problems == self._rejected:
            return
        self._rejected = problems
        kept, count = self._resolution.revision, len(error.problems)
        log.error(
            "the changed files cannot be used and configuration %s stays (see `cronledger config check`): %s",
            kept, "; ".join(problems),
        )  # fmt: skip
        body = e.ConfigRejected(kept=kept, problems=problems, count=count)
        self._unsaid.append(e.Event(body=body, actor=FILES))

    # --- in the ledger ----------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Record what has not been recorded yet, in order, as soon as the ledger listens."""
        while self._unsaid:
            try:
                await self._record(self._unsaid[0])
            except Conflict:
                continue
            except LedgerUnreachable as error:
                log.warning("the ledger does not hear of the reload yet: %s", error)
                return
            except Outdated as error:
                log.warning("the reload cannot be recorded: %s", error.message)
            self._unsaid.popleft()

    async def _record(self, event: e.Event) -> None:
        """Append an event; a rejection that another instance has recorded already is not repeated."""
        said = await self._world.read(self._world.store.ledger.read_stream, CONFIG)
        if event.body not in _rejections(said):
            version = said[-1].version if said else START
            await self._world.append(Item((Write(CONFIG, (event,), expected=version),)))


def _loaded(before: Resolution, after: Resolution) -> e.Event:
    """Say which definitions an instance has read, and how they differ from those before."""
    changes = compared(before.definitions, after.definitions)
    body = e.ConfigLoaded(
        revision=after.revision, previous=before.revision, **msgspec.structs.asdict(changes)
    )
    return e.Event(body=body, actor=FILES)


def _needing_a_restart(before: Settings, after: Settings) -> Iterator[str]:
    for field, name in NOT_WHILE_RUNNING.items():
        if getattr(before, field) != getattr(after, field):
            yield name


def _rejections(said: list[e.Recorded]) -> list[e.Body]:
    """Return what was rejected since files were last accepted."""
    found: list[e.Body] = []
    for recorded in reversed(said):
        if not isinstance(recorded.body, e.ConfigRejected):
            break
        found.append(recorded.body)
    return found
