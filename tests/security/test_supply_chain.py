"""Item 25: what is installed is pinned, nothing is fetched at import, and the metadata name the licence.

`pip-audit` asks a service on the network, so it is no test here: run it in CI against `constraints.txt`.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.sources import PACKAGE, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = {
    str(canonicalize_name(Requirement(line).name)): Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip()
}
IMPORT_ALL = """
import importlib, pkgutil, socket, sys

class Refused(Exception): ...

def refuse(*args, **kwargs):
    raise Refused("a connection was wanted at import")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
sys.addaudithook(lambda event, args: refuse() if event in ("socket.connect", "socket.getaddrinfo") else None)

import cronledger

names = [found.name for found in pkgutil.walk_packages(cronledger.__path__, "cronledger.")]
# The first needs a migration under way, the second runs the program.
for name in names:
    if not name.endswith((".env", ".__main__")):
        importlib.import_module(name)
print(len(names))
"""


def required(requirements: list[str], extras: set[str]) -> Iterator[Requirement]:
    for text in requirements:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
            yield requirement


def installed_by_dev() -> set[str]:
    """Return every package that the package with its extra `dev` brings in here, direct or not."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    todo = [Requirement(text) for text in project["dependencies"] + extras["dev"] + extras["postgres"]]
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        name = str(canonicalize_name(requirement.name))
        key = (name, frozenset(requirement.extras))
        if name == "cronledger" or key in seen:
            continue
        seen.add(key)
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += required(needs, set(requirement.extras))
    return found


def test_everything_that_is_installed_is_pinned() -> None:
    """Item 25."""
    assert set() == installed_by_dev() - PINS.keys()


def test_a_pin_is_one_version() -> None:
    """Item 25: and no address that something else could be fetched from."""
    loose = [
        str(pin) for pin in PINS.values() if not re.fullmatch(r"==[0-9][\w.]*", str(pin.specifier)) or pin.url
    ]

    assert [] == loose


def test_the_pins_satisfy_what_the_package_asks_for() -> None:
    """Item 25."""
    asked = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
    unmet = [
        str(each)
        for each in asked
        if not each.specifier.contains(str(PINS[str(canonicalize_name(each.name))].specifier)[2:])
    ]

    assert [] == unmet


def test_no_module_wants_the_network_when_it_is_imported() -> None:
    """Item 25."""
    imported = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=100, check=False
    )

    assert (0, "") == (imported.returncode, imported.stderr)
    assert (
        int(imported.stdout)
        >= len(list(PACKAGE.rglob("*.py"))) - len(list(PACKAGE.rglob("versions/*.py"))) - 3
    )


def test_the_metadata_name_the_licence_that_is_there() -> None:
    """Item 25."""
    project = PYPROJECT["project"]
    licence = (ROOT / "LICENSE").read_text()

    assert "Apache-2.0" == project["license"]
    assert ["LICENSE"] == project["license-files"]
    assert "Apache License" in licence
    assert "Version 2.0" in licence
    assert {"name", "description", "readme", "requires-python"} <= project.keys()


def test_the_package_carries_no_binaries() -> None:
    """Item 25: what is shipped can be read."""
    suffixes = {
        path.suffix for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }

    assert suffixes <= {".css", ".html", ".py", ".sql", ".typed", ""}
