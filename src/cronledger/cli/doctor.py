"""What is wrong here, and what to do about it: `doctor`.

Every check answers for itself. One that fails hides none of the later ones; those that it leaves without an
answer say that they were skipped. A ledger that is not there is not made.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from cronledger import migrations, tz_database
from cronledger._version import __version__
from cronledger.cli.cluster_checks import CHECKS
from cronledger.cli.config import checked
from cronledger.cli.context import Application, application
from cronledger.cli.finding import Finding, counted, failed, skipped
from cronledger.cli.render import emit
from cronledger.errors import CronledgerError, UsageError
from cronledger.ledger.database import Store
from cronledger.ledger.failures import parsed
from cronledger.tz_database import UNKNOWN, TzDatabase

app = typer.Typer()


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Check that everything here fits together, and say what to do where it does not.

    Looks at the versions, the time-zone data, the configuration, the ledger, and the instances that are up.
    The exit code is that of the first check that failed; warnings do not count.
    """
    opened = application(ctx)
    findings = [versions(), time_zones(tz_database.in_use(), tz_database.packaged()), configuration(opened)]
    findings += _of_the_ledger(opened)
    code = next((each.exit_code for each in findings if each.status == "fail"), 0)
    document = {"ok": code == 0, "checks": [each.document() for each in findings]}
    emit(ctx, document, text="\n".join(line for each in findings for line in each.text()))
    if code:
        raise typer.Exit(code)


def versions() -> Finding:
    """Say which versions are running."""
    found = {"cronledger": __version__, "python": platform.python_version()}
    message = f"cronledger {found['cronledger']}, Python {found['python']}"
    return Finding(check="versions", status="ok", message=message, details=found)


def time_zones(used: TzDatabase, packaged: str | None) -> Finding:
    """Say which time-zone data is in use, and whether the package beside it is newer."""
    details = {"version": used.version, "source": used.source, "folder": used.folder, "package": packaged}
    place = "the package tzdata" if used.folder is None else used.folder
    message = f"{used.version} of {place}"
    hint = None
    if used.version == UNKNOWN:
        message = f"{place} does not say which version it is"
        hint = "the rules themselves are recorded and compared all the same"
    elif packaged is not None and used.version < packaged:
        message += f" is in use; the package tzdata has the newer {packaged}"
        hint = (
            "update the system's data, or set PYTHONTZPATH to nothing to use the package's, everywhere alike"
        )
    elif packaged is not None and used.version != packaged:
        message += f" is in use; the package tzdata has the older {packaged}"
    return Finding(
        check="tz_database", status="warn" if hint else "ok", message=message, hint=hint, details=details
    )


def configuration(opened: Application) -> Finding:
    """Check the files and the code that they name."""
    try:
        document = checked(opened.settings, opened.resolution, opened.now())
    except CronledgerError as error:
        return failed("configuration", error)
    warnings = list(document["warnings"])
    if not opened.settings.enabled:
        warnings.append("scheduler.enabled is false: instances with these files neither plan nor run")
    count, files = document["jobs"], document["files"]
    message = f"{counted(count, 'job')} in {', '.join(files) or 'no file'}"
    if warnings:
        message += f", {counted(len(warnings), 'warning')}"
    return Finding(
        check="configuration",
        status="warn" if warnings else "ok",
        message=message,
        details={"jobs": count, "revision": document["revision"], "warnings": warnings, "files": files},
        lines=tuple(warnings),
    )


def _of_the_ledger(opened: Application) -> Iterator[Finding]:
    """Yield the checks of the ledger, and of everything that it tells about the cluster."""
    reached, store = ledger(opened)
    yield reached
    if store is None:
        yield from (skipped(check, "it needs a ledger") for check in ("schema", *CHECKS))
        return
    at_head = schema(store)
    yield at_head
    for check, ask in CHECKS.items():
        if at_head.status != "ok":
            yield skipped(check, "it needs the schema of this version")
            continue
        try:
            yield ask(opened, store)
        except CronledgerError as error:
            yield failed(check, error)


def ledger(opened: Application) -> tuple[Finding, Store | None]:
    """Open the ledger; a SQLite file that nobody has made yet is worth a warning only."""
    try:
        store = opened.database(create=False)
        migrations.current(store)
    except CronledgerError as error:
        if not _is_yet_to_be_made(opened.database_url):
            return failed("ledger", error), None
        hint = "`cronledger up` makes it; or set --database-url or DATABASE_URL if it is elsewhere"
        return Finding(check="ledger", status="warn", message=error.message, hint=hint), None
    message = f"{store.url} answers"
    details = {"url": store.url, "kind": store.kind}
    return Finding(check="ledger", status="ok", message=message, details=details), store


def schema(store: Store) -> Finding:
    """Check that the schema is the one of this version."""
    details = {"current": migrations.current(store), "head": migrations.HEAD}
    try:
        migrations.check(store)
    except CronledgerError as error:
        found = failed("schema", error)
        return msgspec.structs.replace(found, details=found.details | details)
    message = f"schema {migrations.HEAD} is at head"
    return Finding(check="schema", status="ok", message=message, details=details)


def _is_yet_to_be_made(url: str) -> bool:
    try:
        parts = parsed(url)
    except UsageError:
        return False
    file = Path(parts.database or "")
    is_file = parts.drivername.startswith("sqlite") and file.name != ""
    return is_file and file.parent.is_dir() and not file.exists()
