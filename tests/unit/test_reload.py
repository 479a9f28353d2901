"""The reloader before a ledger that does not take what it has to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from cronledger.config.model import Settings
from cronledger.config.resolve import resolve
from cronledger.config.sources import Sources
from cronledger.errors import UnknownZone, WriterOutdated
from cronledger.jobs.registry import Registry
from cronledger.ledger.database import Store
from cronledger.reload import Reloader
from tests.conftest import opened

LIMIT_SECONDS = 20


class Reticent:
    """A world whose ledger is read as ever; `append` is what becomes of appends."""

    def __init__(self, store: Store, append: Callable[[], Awaitable[None]]) -> None:
        self.store = store
        self._append = append

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    async def append(self, item: object) -> None:
        del item
        await self._append()


def files(path: Path, max_runs: int) -> None:
    path.write_text(f"scheduler: {{max_runs: {max_runs}}}")


def wrong(path: Path, word: str) -> None:
    path.write_text(f"scheduler: {{{word}: 1}}")


class Failing(Sources):
    """Files that fail in a way that nobody has thought of, from the second time on."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(path, None)
        self._error: Exception | None = None
        self._next = error

    def load(self) -> Settings:
        settings = super().load()
        if self._error is not None:
            raise self._error
        self._error = self._next
        return settings


async def reloading(
    url: str,
    path: Path,
    append: Callable[[], Awaitable[None]],
    script: Callable[[], Awaitable[None]],
    adopt: Callable[[], None] = lambda: None,
    *,
    of: Callable[[Path], Sources] = lambda path: Sources(path, None),
) -> None:
    """Reload, under a limit, while a script goes on."""
    files(path, 5)
    sources = of(path)
    settings, store = sources.load(), opened(url)
    reloader = Reloader(
        sources,
        Registry(),
        Reticent(store, append),  # type: ignore[arg-type] # all that the reloader needs
        carried=(settings, resolve(settings, Registry())),
        adopt=lambda *_: adopt(),
    )
    with anyio.fail_after(LIMIT_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reloader.run)
            await script()
            reloader.stop()
    store.close()


def test_a_reload_that_the_ledger_does_not_hear_of_does_not_keep_the_process(
    memory_url: str, tmp_path: Path
) -> None:
    """SIGTERM had no effect while the append of a reload did not get through."""
    path = tmp_path / "config.yaml"

    async def program() -> None:
        asked = anyio.Event()

        async def append() -> None:
            asked.set()
            await anyio.sleep_forever()

        async def script() -> None:
            wrong(path, "job")
            await asked.wait()

        await reloading(memory_url, path, append, script)

    asyncio.run(program())


def test_files_are_reloaded_also_where_only_newer_versions_may_say_so(
    memory_url: str, tmp_path: Path
) -> None:
    """The reloader used to end the process, and the runs that went on in it."""
    path = tmp_path / "config.yaml"

    async def program() -> None:
        refused, adopted = anyio.Event(), anyio.Event()

        async def append() -> None:
            refused.set()
            raise WriterOutdated(needed=2, own=1)

        async def script() -> None:
            wrong(path, "job")
            await refused.wait()
            files(path, 7)
            await adopted.wait()

        await reloading(memory_url, path, append, script, adopted.set)

    asyncio.run(program())


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), RecursionError(), ValueError("x"), UnknownZone("X")]
)
def test_whatever_keeps_files_from_being_read_is_a_rejection_and_not_the_end_of_the_instance(
    memory_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    path = tmp_path / "config.yaml"

    async def program() -> None:
        told = anyio.Event()

        async def append() -> None:
            told.set()

        async def script() -> None:
            files(path, 6)
            await told.wait()

        await reloading(memory_url, path, append, script, of=lambda path: Failing(path, error))

    asyncio.run(program())

    assert f"the files cannot be read: {type(error).__name__}\n" in caplog.text
