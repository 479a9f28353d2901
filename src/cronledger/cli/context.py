"""What a command works with: configuration, registry, scheduler and ledger, each made when first asked for.

What was opened is closed when the call ends. Reading commands see the views folded to the head of the
ledger, or as of an earlier position or instant.
"""

from __future__ import annotations

import getpass
import os
from datetime import datetime
from pathlib import Path

import typer

from cronledger import migrations
from cronledger.cli.options import Invocation, Output
from cronledger.cli.times import Moment, moment
from cronledger.config.model import Settings
from cronledger.config.reference import Secrets
from cronledger.config.resolve import Resolution
from cronledger.domain.events import Actor
from cronledger.domain.ids import Position, instance_id
from cronledger.errors import NotFound
from cronledger.jobs.registry import Registry
from cronledger.ledger.application import url_beside
from cronledger.ledger.database import Store, open_store
from cronledger.projections.replay import Views, current, views_at
from cronledger.scheduler import Scheduler


class Application:
    """What follows from the global options of one call."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._store: Store | None = None
        self.scheduler = self._scheduler(invocation.options.config)

    def resolution_of(self, config: Path) -> Resolution:
        """Return the definitions as another file has them, with the same code; raises ConfigError."""
        return self._scheduler(config).resolution

    def _scheduler(self, config: Path | None) -> Scheduler:
        options = self._invocation.options
        return Scheduler(
            database_url=options.database_url,
            config=config,
            profile=options.profile,
            instance=options.instance,
            app=options.app,
        )

    @property
    def output(self) -> Output:
        """The form in which the answer is wanted."""
        return self._invocation.output

    @property
    def database_url(self) -> str:
        """The ledger's address; it may hold a password, so show `store().url` instead."""
        return self._invocation.options.database_url

    @property
    def application_url(self) -> str | None:
        """The application's database, else the built-in jobs' own; it may hold a password. None: neither."""
        said = self.settings.application_database_url
        return Secrets(os.environ).reveal(said) if said else url_beside(self.database_url)

    @property
    def settings(self) -> Settings:
        """What the files say; raises ConfigError with all their problems."""
        return self.scheduler.settings

    @property
    def registry(self) -> Registry:
        """The jobs that code provides here; raises RegistryError."""
        return self.scheduler.registry

    @property
    def resolution(self) -> Resolution:
        """The definitions as configured here; raises ConfigError with every problem."""
        return self.scheduler.resolution

    @property
    def operator(self) -> Actor:
        """The account that gives this command."""
        try:
            return Actor.operator(getpass.getuser())
        except (KeyError, OSError):
            return Actor.operator(f"uid-{os.getuid()}")

    def now(self) -> datetime:
        """Return this machine's instant: what durations before now are counted from."""
        return self._invocation.clock.now()

    def viewed_at(self, as_of: str | None) -> datetime:
        """Return the instant from which an answer as of then, or as of now, looks ahead."""
        return self.instant(as_of) or self.now()

    def store(self) -> Store:
        """Open the ledger, once; a SQLite file is created and upgraded.

        Raises SchemaOutdated or LedgerUnreachable.
        """
        if self._store is None:
            self._store = self._kept(self.scheduler.open())
        return self._store

    def existing(self) -> Store:
        """Open a ledger that has to be there already, at the schema of this version."""
        if self._store is None:
            self._store = self.database(create=False)
            migrations.check(self._store)
        return self._store

    def database(self, *, create: bool) -> Store:
        """Open the ledger's database, whatever its schema."""
        scheduler = self.scheduler
        identity = instance_id("cli", os.getpid(), scheduler.entropy.token()[:6].hex())
        return self._kept(
            open_store(
                self.database_url,
                instance=identity,
                clock=scheduler.clock,
                entropy=scheduler.entropy,
                create=create,
            )
        )

    def views(self, as_of: str | None = None) -> Views:
        """Return the views as of the head, or as of `TIME` or `position:N`."""
        store = self.store()
        if as_of is None:
            views = current(store)
        else:
            views = views_at(store.ledger, self.position(moment(as_of, self.now())))
        self._invocation.closing.callback(views.close)
        return views

    def position(self, wanted: Moment) -> Position:
        """Return the position of a moment; raises NotFound for one that the ledger has not reached."""
        ledger = self.store().ledger
        if wanted.at is not None:
            return ledger.position_at(wanted.at)
        assert wanted.position is not None
        head = ledger.head().position
        if wanted.position > head:
            raise NotFound(f"there is no position {wanted.position} yet: the ledger ends at {head}")
        return wanted.position

    def instant(self, text: str | None) -> datetime | None:
        """Return the instant that a text names; a position stands for when it was recorded."""
        if text is None:
            return None
        wanted = moment(text, self.now())
        if wanted.at is not None:
            return wanted.at
        position = max(1, self.position(wanted))
        recorded = self.store().ledger.read_all(Position(position - 1), 1)
        return recorded[0].recorded_at if recorded else None

    def _kept(self, store: Store) -> Store:
        self._invocation.closing.callback(store.close)
        return store


def application(ctx: typer.Context) -> Application:
    """Return what the global options of this call stand for."""
    invocation = ctx.obj
    assert isinstance(invocation, Invocation)
    if invocation.application is None:
        invocation.application = Application(invocation)
    made = invocation.application
    assert isinstance(made, Application)
    return made
