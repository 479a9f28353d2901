"""The application's database, open for whoever looks after its tables, and what is said where that fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cronledger.errors import CronledgerError, UsageError
from cronledger.ledger.application import application_engine
from cronledger.ledger.failures import safe_url
from cronledger.migrations.application.runner import current, upgrade


class ApplicationDatabaseUnreachable(CronledgerError):
    """The application's database does not answer, or refuses what was asked of it."""

    code = "application_database_unreachable"
    exit_code = 6

    def __init__(self, url: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"the application's database {url} cannot be used: {why}", hint=hint)
        self.url = url


class OpenDatabase:
    """An application's database; `shown` is its address without a password."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.shown = safe_url(engine.url.render_as_string(hide_password=False))

    def current(self) -> str | None:
        """Return the revision that its tables are at, None where nothing has been created."""
        return current(self._engine)

    def upgrade(self, named: Mapping[str, str]) -> None:
        """Create what is missing; tables that the application has under other names are not."""
        upgrade(self._engine, named)


@contextmanager
def opened(url: str | None, *, create: bool) -> Iterator[OpenDatabase]:
    """Open the application's database; a file that is not there is only made if `create`.

    Raises UsageError where there is no such database, ApplicationDatabaseUnreachable for one that does not
    answer or refuses.
    """
    if url is None:
        raise UsageError(
            "there is no application database: none is configured, and none can be beside this ledger",
            hint="set `application: {database_url: ...}` in the configuration",
        )
    engine = application_engine(url)
    database = OpenDatabase(engine)
    if not create and _is_file_not_there(engine):
        raise ApplicationDatabaseUnreachable(
            database.shown, "there is no such file", hint="run `cronledger app-db upgrade` to make one"
        )
    try:
        yield database
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise ApplicationDatabaseUnreachable(database.shown, why) from error
    finally:
        engine.dispose()


def _is_file_not_there(engine: Engine) -> bool:
    """Whether opening this would make a file; of a `file:` URI SQLite says so itself."""
    path = (engine.url.database or "") if engine.dialect.name == "sqlite" else ""
    return not path.startswith((":memory:", "file:")) and path != "" and not Path(path).exists()
