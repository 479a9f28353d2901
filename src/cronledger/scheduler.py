"""The scheduler: puts the parts together, starts them, and drains them.

The only place that knows every part. `Scheduler(...)` reads no file and opens no database; that happens
when it is first needed.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec

from cronledger import applying, manual, presence
from cronledger._version import __version__
from cronledger.app_database import Databases
from cronledger.background import beside
from cronledger.clock import Clock, SystemClock
from cronledger.config.model import Settings
from cronledger.config.reference import Secrets
from cronledger.config.reference import database_url as database_url_of
from cronledger.config.resolve import Resolution, resolve
from cronledger.config.sources import Sources
from cronledger.domain.events import Actor
from cronledger.domain.ids import RunId, instance_id
from cronledger.domain.leadership import Lease
from cronledger.domain.run import RunState
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.farewell import LEAST_SECONDS, Farewell
from cronledger.engine.loop import Engine
from cronledger.engine.plan import Kind, Plan
from cronledger.entropy import Entropy, SystemEntropy
from cronledger.jobs.api import Job
from cronledger.jobs.discovery import add, discover
from cronledger.jobs.registry import Extension, Registry
from cronledger.jobs.together import kept, together, undisturbed
from cronledger.ledger.api import require_current
from cronledger.ledger.borrowed import Home, home_of
from cronledger.ledger.database import Store, open_store
from cronledger.migrations import check, upgrade
from cronledger.reload import Reloader
from cronledger.run_reports import LedgerRuns
from cronledger.watchdog import watch
from cronledger.world import ProcessWorld

T = TypeVar("T")


class Scheduler:
    """An instance of the scheduler, for a process of its own or inside an application.

    Args:
        database_url: The ledger; default `CRONLEDGER_DATABASE_URL`, `DATABASE_URL`, `sqlite:///cronledger.db`.
        config: The configuration file; default as the command line finds it.
        profile: The profile that overrides it.
        instance: A label for this process; a process id and a boot id are always added.
        app: Modules or objects that provide jobs, as `MODULE` or `MODULE:OBJECT`.
        extensions, jobs: Extensions and jobs as objects.
        services: What `ctx.service(Type)` finds.
        db: What `ctx.db` gives; default: an engine for `application.database_url` of the configuration.
        clock, entropy, lease: The outside world, for tests.

    >>> scheduler = Scheduler(database_url="memory://example", jobs=[])
    >>> async def application():
    ...     async with scheduler.running():
    ...         return "serving"
    >>> import asyncio
    >>> asyncio.run(application())
    'serving'
    """

    def __init__(
        self,
        *,
        database_url: str | None = None,
        config: str | Path | None = None,
        profile: str | Path | None = None,
        instance: str | None = None,
        app: Sequence[str] = (),
        extensions: Sequence[Extension | str] = (),
        jobs: Sequence[Job] = (),
        services: Sequence[object] = (),
        db: Any = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.entropy = entropy or SystemEntropy()
        self.database_url = database_url or database_url_of(os.environ)
        self._config = Path(config) if config else None
        self._profile = Path(profile) if profile else None
        self._label = instance or os.environ.get("CRONLEDGER_INSTANCE") or socket.gethostname()
        self._app = tuple(app)
        self._extensions = tuple(extensions)
        self._jobs = tuple(jobs)
        self._services = tuple(services)
        self._db = db
        self._lease = lease or Lease()
        self._secrets = Secrets(os.environ)
        self._world: ProcessWorld | None = None
        self._reloader: Reloader | None = None
        self._farewell: Farewell | None = None
        self._home: Home | None = None

    # --- what is configured -----------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The configuration as read; raises ConfigError with everything that is wrong with it."""
        return self._sources.load()

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self._config, self._profile)

    @cached_property
    def registry(self) -> Registry:
        """Every job that code provides; raises RegistryError."""
        registry = Registry()
        for extension in self._extensions:
            if not isinstance(extension, str):
                add(registry, extension, "Scheduler(extensions=...)")
        named = [extension for extension in self._extensions if isinstance(extension, str)]
        discover(registry, extensions=[*self.settings.extensions, *named], app=self._app)
        for job in self._jobs:
            add(registry, job, "Scheduler(jobs=...)")
        return registry

    @cached_property
    def resolution(self) -> Resolution:
        """Every job as defined here; raises ConfigError."""
        return resolve(self.settings, self.registry)

    # --- running ----------------------------------------------------------------------------------------

    def open(self, *, migrate: bool | None = None) -> Store:
        """Open the ledger; SQLite files are created and upgraded, PostgreSQL only if `migrate`.

        Raises SchemaOutdated or LedgerUnreachable. The caller closes it.
        """
        identity = instance_id(self._label, os.getpid(), self.entropy.token()[:6].hex())
        store = open_store(
            self.database_url, instance=identity, clock=self.clock, entropy=self.entropy, create=True
        )
        try:
            if migrate or (migrate is None and store.kind != "postgres"):
                upgrade(store)
            check(store)
        except BaseException:
            store.close()
            raise
        return store

    @asynccontextmanager
    async def running(self, *, migrate: bool | None = None) -> AsyncIterator[Scheduler]:
        """Take part while the block lasts: ready when it is entered, drained however it is left."""
        plan = self._service_plan()
        async with self._opened(migrate=migrate) as store, self.instance_at_work(store, plan) as engine:
            await engine.ready.wait()
            yield self

    @asynccontextmanager
    async def lifespan(self, _application: object = None) -> AsyncIterator[None]:
        """Take part while an ASGI application lives: `Starlette(lifespan=scheduler.lifespan)`."""
        async with self.running():
            yield

    @contextmanager
    def background(self) -> Iterator[Scheduler]:
        """Take part while the block lasts, in a thread and loop of its own: for programs without a loop.

        What ends the scheduler before the block ends is logged at once, and raised when the block is left.
        """
        with beside(self.running):
            yield self

    async def serve(
        self,
        *,
        for_seconds: float | None = None,
        migrate: bool | None = None,
        applied_by: Actor | None = None,
    ) -> int:
        """Run an instance until SIGTERM or SIGINT, or for a time; return how much code was left behind.

        The first of them drains, a second one ends at once; SIGHUP reads the files again.
        `applied_by`: whose word makes the files current in the cluster before anything else.
        """
        plan = self._service_plan()
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with together() as tasks:
                async with (
                    self._opened(migrate=migrate, applied_by=applied_by) as store,
                    self.instance_at_work(store, plan) as engine,
                ):
                    with anyio.move_on_after(for_seconds):
                        await self._told_to_end(signals)
                    engine.stop()
                    tasks.start_soon(_drain_no_longer, signals, engine)
                tasks.cancel_scope.cancel()
        return engine.executor.left_behind + engine.farewell.was_cut_short

    async def _told_to_end(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Wait for the signal to end; reload at each SIGHUP before."""
        async for number in signals:
            if number is not signal.SIGHUP:
                return
            if self._reloader is not None:
                self._reloader.request()

    async def trigger(
        self,
        job: str,
        params: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        key: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> RunId:
        """Trigger a manual run of a job, durably, and return its name without waiting for it.

        The same `key` from the same actor triggers one run, however often it is asked for.
        With a `connection` to the ledger's database (SQLAlchemy, psycopg, sqlite3) the run depends on the
        transaction that is open there: committed, it is triggered within about a second; rolled back, never.
        Raises UnknownJob, UsageError, and without a connection Overlap or Conflict.
        """
        by = actor or "application"
        (request,) = manual.requests(self, [job], params, actor=by, reason=reason, key=key)
        if connection is None:
            return await anyio.to_thread.run_sync(
                self._ask, lambda store: manual.trigger(store, request, self.clock, self.entropy)
            )
        # On this thread, as all over a connection not ours; a migration would wait for its transaction.
        self._home = self._home or self._ask(home_of, migrate=False)
        return manual.request_over(connection, self._home, request, clock=self.clock, entropy=self.entropy)

    def _ask(self, function: Callable[[Store], T], *, migrate: bool | None = None) -> T:
        """Call a function with the store of the instance here, else with one opened for this call."""
        if self._world is not None:
            # Not through the world: the caller's loop need not be the one that the instance lives in.
            return function(self._world.store)
        with closing(self.open(migrate=migrate)) as store:
            return function(store)

    async def run_manually(
        self,
        names: Sequence[str],
        *,
        parameters: Mapping[str, str] | None = None,
        actor: str,
        reason: str | None = None,
        local: bool = False,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - the option of the command line
    ) -> list[RunState]:
        """Trigger runs and, if `wait`, follow them to their end; perform them here if nobody else can.

        Raises UnknownJob, Overlap, Conflict, or TimeoutError once `timeout` seconds have passed.
        """
        requests = manual.requests(self, names, parameters, actor=actor, reason=reason)
        return await self.perform(requests, local=local, wait=wait, timeout=timeout)

    async def perform(
        self,
        requests: Sequence[manual.Request],
        *,
        local: bool = False,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - the option of the command line
        look: manual.Look | None = None,
    ) -> list[RunState]:
        """Trigger what is asked for and go on with it as `run_manually` does; `look` is shown the runs."""
        async with self._opened() as store:
            return await manual.perform(self, store, requests, look, local=local, wait=wait, seconds=timeout)

    # --- putting together -------------------------------------------------------------------------------

    def _service_plan(self) -> Plan:
        settings = self.settings
        return Plan(
            enabled=settings.enabled,
            max_runs=settings.max_runs,
            lease=self._lease,
            startup_wait_seconds=settings.startup_wait_seconds,
            drain_seconds=settings.drain_seconds,
        )

    def databases(self) -> Databases:
        """Return what jobs are given here as `ctx.db`; raises ConfigError for a URL that leads nowhere."""
        said = None if self._db is not None else self.settings.application_database_url
        return Databases(self.database_url, self._secrets.reveal(said) if said else None, self._db)

    def _provision(self) -> Provision:
        history = LedgerRuns(self._ask, lambda: self.resolution.every)
        return Provision(
            find=self.registry.code_of,
            reveal=self._secrets.reveal,
            hide=self._secrets.hide,
            **self._application(),
            services=(*self._services, *self.registry.services, history),
        )

    def _application(self) -> dict[str, Any]:
        """Return what jobs are given by the files that were read last."""
        config = self._secrets.revealing(self.settings.application)
        return {"config": config, "root": str(self.settings.root)}

    @asynccontextmanager
    async def instance_at_work(self, store: Store, plan: Plan) -> AsyncIterator[Engine]:
        """Bring an instance up on an open store, and take it down with everything it holds.

        Raises an `Outdated` if only a newer version may take part in this ledger.
        """
        await anyio.to_thread.run_sync(require_current, store.ledger)
        found = self.resolution
        configuration = _carried(found)
        databases, build = self.databases(), os.environ.get("CRONLEDGER_BUILD", __version__)
        provision = msgspec.structs.replace(self._provision(), **databases.provided)
        here = store.ledger.instance
        world = ProcessWorld(store, instance=here, clock=self.clock, build=build)
        engine = Engine(world, configuration, provision, plan)
        known_as = presence.announced(
            world, self._label, engine.farewell, plan=plan, configuration=configuration, provision=provision
        )
        self._farewell = engine.farewell
        async with known_as:
            reloader = self._reloader_for(engine, world, provision) if plan.kind is Kind.SERVICE else None
            wake = store.wake(lambda: world.call_soon(engine.wake))
            self._world, self._reloader = world, reloader
            watchdog = watch(world, engine)
            try:
                async with together() as tasks:
                    tasks.start_soon(undisturbed, engine.run)
                    if reloader is not None:
                        tasks.start_soon(reloader.run)
                    try:
                        yield engine
                    finally:
                        engine.stop()
                        if reloader is not None:
                            reloader.stop()
            finally:
                self._world = self._reloader = None
                watchdog.stop()
                wake.close()
                await undisturbed(lambda: anyio.to_thread.run_sync(databases.close))

    def _reloader_for(self, engine: Engine, world: ProcessWorld, provision: Provision) -> Reloader:
        def adopt(settings: Settings, resolution: Resolution) -> None:
            self.settings, self.resolution = settings, resolution
            plan = self._service_plan()
            configuration = _carried(resolution)
            given = msgspec.structs.replace(provision, **self._application())
            engine.reconfigure(configuration, plan, given, jobs=presence.provided(plan, configuration, given))

        carried = (self.settings, self.resolution)
        return Reloader(self._sources, self.registry, world, carried=carried, adopt=adopt)

    @asynccontextmanager
    async def _opened(
        self, *, migrate: bool | None = None, applied_by: Actor | None = None
    ) -> AsyncIterator[Store]:
        """Open the ledger in a thread, and close it there whatever happens.

        What an instance has left behind may keep it from closing: that ends by itself.
        """

        async def close(store: Store) -> None:
            is_blocked = self._farewell is not None and self._farewell.was_cut_short
            with anyio.move_on_after(LEAST_SECONDS if is_blocked else None):
                await anyio.to_thread.run_sync(store.close, abandon_on_cancel=True)

        async with kept(lambda: anyio.to_thread.run_sync(lambda: self.open(migrate=migrate)), close) as store:
            if applied_by is not None:
                await anyio.to_thread.run_sync(applying.at_start, store, self.resolution, applied_by)
            yield store


def _carried(found: Resolution) -> Configuration:
    return Configuration(found.definitions, found.revision, found.spare, has_files=found.has_files)


async def _drain_no_longer(signals: AsyncIterator[signal.Signals], engine: Engine) -> None:
    """End at once when asked a second time."""
    async for number in signals:
        if number is not signal.SIGHUP:
            engine.abandon()
            return
