"""What every command shares: the global options, and what is made from them on first use.

Strongest first: option, environment, profile, config file, default. Nothing is read, imported or opened
before a command asks for it, and what was opened is closed when the command ends. Secrets are handed on,
never shown.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from cronledger.cli.render import Output
from cronledger.clock import Clock, SystemClock
from cronledger.domain.events import Actor
from cronledger.errors import UsageError

if TYPE_CHECKING:
    from cronledger.config.model import Settings
    from cronledger.config.resolve import Resolution
    from cronledger.jobs.registry import Registry
    from cronledger.ledger.database import Store
    from cronledger.scheduler import Scheduler

DEFAULT_DATABASE_URL = "sqlite:///cronledger.db"
_DATABASE_VARIABLES = ("CRONLEDGER_DATABASE_URL", "DATABASE_URL")


class LogFormat(msgspec.Struct, frozen=True):
    """How lines of the log are written, and from which level on."""

    level: str = "info"
    form: str = "text"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The global options as given before the command; None: not given."""

    database_url: str | None = None
    config: Path | None = None
    profile: Path | None = None
    instance: str | None = None
    app: tuple[str, ...] = ()
    log_level: str | None = None
    log_format: str | None = None


class Application:
    """The options of this call and everything that follows from them, made when first asked for."""

    def __init__(self, environ: Mapping[str, str], *, clock: Clock | None = None) -> None:
        self.options = Options()
        self.output = Output.TABLE
        self.environ = environ
        self.clock: Clock = clock or SystemClock()
        self._store: Store | None = None

    @cached_property
    def database_url(self) -> str:
        """The ledger's address; it may hold a password, so show `safe_url` of it instead."""
        return self.options.database_url or database_url(self.environ)

    @cached_property
    def config_file(self) -> Path | None:
        """The configuration file: given, or found in the usual places."""
        from cronledger.config.load import find_config

        given = self.options.config or _path(self.environ.get("CRONLEDGER_CONFIG"))
        return given or find_config(Path())

    @cached_property
    def profile_file(self) -> Path | None:
        """The profile: given, or found beside the configuration or here."""
        from cronledger.config.load import find_profile

        given = self.options.profile or _path(self.environ.get("CRONLEDGER_PROFILE"))
        return given or find_profile(self.config_file, Path())

    @cached_property
    def app(self) -> tuple[str, ...]:
        """The modules that provide jobs beside the configured extensions."""
        return self.options.app or tuple(
            name.strip() for name in self.environ.get("CRONLEDGER_APP", "").split(",") if name.strip()
        )

    @cached_property
    def settings(self) -> Settings:
        """What the files say; raises ConfigError with all their problems."""
        from cronledger.config.load import load

        return load(self.config_file, self.profile_file)

    @cached_property
    def registry(self) -> Registry:
        """The jobs that code provides here."""
        from cronledger.jobs.discovery import discover
        from cronledger.jobs.registry import Registry

        registry = Registry()
        discover(registry, extensions=self.settings.extensions, app=self.app)
        return registry

    @cached_property
    def resolution(self) -> Resolution:
        """The definitions as configured here; raises ConfigError with every problem."""
        from cronledger.config.resolve import resolve

        return resolve(self.settings, self.registry)

    @cached_property
    def scheduler(self) -> Scheduler:
        """A scheduler with these options, not started."""
        from cronledger.scheduler import Scheduler

        return Scheduler(
            database_url=self.database_url,
            config=self.config_file,
            profile=self.profile_file,
            instance=self.options.instance or self.environ.get("CRONLEDGER_INSTANCE") or None,
            app=self.app,
        )

    def store(self) -> Store:
        """Open the ledger, once; raises SchemaOutdated or LedgerUnreachable."""
        if self._store is None:
            self._store = self.scheduler.open()
        return self._store

    def close(self) -> None:
        """Close what this call has opened."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @cached_property
    def operator(self) -> Actor:
        """The person, or the account, that gives this command."""
        try:
            return Actor.operator(getpass.getuser())
        except (KeyError, OSError):
            return Actor.operator(f"uid-{os.getuid()}")


def application(ctx: typer.Context) -> Application:
    """Return what the global options of this call stand for."""
    found = ctx.obj
    assert isinstance(found, Application)
    return found


def database_url(environ: Mapping[str, str]) -> str:
    """Read the ledger's address from the environment, or from the file that it names.

    >>> database_url({"DATABASE_URL": "postgresql://db/app"})
    'postgresql://db/app'
    >>> database_url({})
    'sqlite:///cronledger.db'
    """
    for name in _DATABASE_VARIABLES:
        value, file = environ.get(name), environ.get(f"{name}_FILE")
        if value and file:
            raise UsageError(f"both {name} and {name}_FILE are set", hint="unset one of them")
        if value:
            return value
        if file:
            return _read_secret(f"{name}_FILE", Path(file))
    return DEFAULT_DATABASE_URL


def _read_secret(name: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: cannot read {file}: {error}") from error


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
