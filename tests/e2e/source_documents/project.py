"""A project in a folder of its own, driven as its operator would: files, and one process for each command."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from cronledger.config.load import load
from cronledger.config.resolve import Resolution, resolve
from cronledger.extensions.blog import blog
from cronledger.extensions.core import core
from cronledger.extensions.web import web
from cronledger.jobs.registry import Registry

EXAMPLE = Path(__file__).parents[3] / "examples/source_config"
SAMPLES = Path(__file__).parent / "samples"
CONFIG = Path("services/config/config.yaml")
SCHEDULE = Path("services/scheduler/config.yaml")


class Project:
    """A folder with configuration and code, and a ledger that begins empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inherited = {key: value for key, value in os.environ.items() if not _says_something(key)}
        self._environ = {**inherited, "DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}"}

    def write(self, path: Path | str, text: str) -> Path:
        """Write a file of the project."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def edit(self, path: Path | str, old: str, new: str) -> None:
        """Change one place of a file."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))

    def call(self, line: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Perform a command line as the documents print it; `systemprompt` is our program."""
        with self.begin(line, *more) as process:
            try:
                printed, complained = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(line, process.returncode, printed, complained)

    def begin(self, line: str, *more: str) -> subprocess.Popen[str]:
        """Begin to perform a command line, and go on beside it."""
        program, *arguments = shlex.split(line)
        assert program in ("systemprompt", "cronledger")
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "cronledger", *arguments, *more],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def exported(self) -> list[dict[str, Any]]:
        """Return the ledger, event by event."""
        return [
            msgspec.json.decode(line) for line in self.call("cronledger ledger export").stdout.splitlines()
        ]

    def with_guests(self, *names: str) -> None:
        """Give the application anonymous users of long ago."""
        assert self.call("cronledger app-db upgrade").returncode == 0
        rows = [(name, name, f"{name}@example.org", '["anonymous"]', "2020-01-01 00:00:00") for name in names]
        with closing(sqlite3.connect(self.folder / "ledger-app.db")) as database, database:
            columns = "id, name, email, roles, created_at"
            database.executemany(f"INSERT INTO users ({columns}) VALUES (?, ?, ?, ?, ?)", rows)

    def answer(self, line: str, *, exit_code: int = 0) -> Any:
        """Perform a command line and read its JSON."""
        done = self.call(line, "-o", "json")
        assert done.returncode == exit_code, done.stdout + done.stderr
        return msgspec.json.decode(done.stdout)


def example(folder: Path) -> Project:
    """Copy the example that carries the documents' two configuration files."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "dist", "*.db*"))
    return Project(folder)


def project_of(folder: Path, *, extensions: str, entries: str, application: str = "{}") -> Project:
    """Make a project from the documents' code samples, with the given entries as its schedule."""
    shutil.copytree(SAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    project = Project(folder)
    lines = [
        "includes: [../scheduler/config.yaml]",
        f"application: {application}",
        f"scheduler: {{extensions: {extensions}}}",
    ]
    project.write(CONFIG, "\n".join(lines) + "\n")
    project.write(SCHEDULE, f"scheduler:\n  enabled: true\n  jobs:\n{entries}")
    return project


def resolved(root: str) -> Resolution:
    """Read one of the example's two roots and combine it with the jobs that come with the package."""
    registry = Registry()
    for extension in (blog, core, web):
        registry.add_extension(extension)
    return resolve(load(EXAMPLE / "services/config" / root, None), registry)


def _says_something(variable: str) -> bool:
    return variable.startswith("CRONLEDGER_") or variable in ("DATABASE_URL", "DATABASE_URL_FILE")
