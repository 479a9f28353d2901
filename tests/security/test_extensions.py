"""Item 6: entries hold names, never import paths; code is only run from files that others cannot change."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronledger.file_rights import writable_by_everyone
from tests.cli_runner import Result, run_cli

MODULE = "from cronledger import job\n\n@job\ndef tidy(): ...\n"
NAMES = [
    "os:system", "os.system", "../x", "/etc/passwd", "__import__", "__import__('os').system('id')",
    "antigravity:fly", "this.d", "this:main", "a b", "A", "é", "x" * 65, "x\0y", "-x", "${env:HOME}", "..",
    "", "import os",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    here = tmp_path / "project"
    here.mkdir(mode=0o755)
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.path", [*sys.path])
    before = set(sys.modules)
    yield here
    for name in [name for name in sys.modules if name.split(".")[0] in ("planted", "wrapped")]:
        del sys.modules[name]
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


def check(*words: str, config: str = "") -> Result:
    Path("config.yaml").write_text(config)
    importlib.invalidate_caches()
    return run_cli("--config", "config.yaml", "--database-url", "sqlite:///l.db", *words, "config", "check")


@pytest.mark.parametrize("key", ["extension", "job", "name"])
@pytest.mark.parametrize("name", NAMES)
def test_a_path_for_a_name_is_refused_and_nothing_is_imported(folder: Path, key: str, name: str) -> None:
    """Item 6."""
    check(config="scheduler: {jobs: [{name: A}]}")  # whatever the first refusal needs itself
    check(config="scheduler: {jobs: [{name: a, extension: b, job: c}]}")
    before = set(sys.modules)
    quoted = "'" + name.replace("'", "''") + "'"
    others = {"name": "a", "extension": "b", "job": "c"} | {key: "QUOTED"}
    entry = ", ".join(f"{field}: {value}" for field, value in others.items()).replace("QUOTED", quoted)
    result = check(config=f"scheduler: {{jobs: [{{{entry}}}]}}")

    assert 5 == result.exit_code
    assert set() == set(sys.modules) - before
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("way", ["--app", "scheduler.extensions"])
@pytest.mark.parametrize("open_place", ["file", "folder", "cache", "package", "ancestor"])
def test_code_that_everybody_may_change_is_not_run(folder: Path, way: str, open_place: str) -> None:
    """Item 6: the file, its folder, its compiled form, the package round it, and a folder above."""
    package = folder / "wrapped"
    package.mkdir(mode=0o755)
    (package / "__pycache__").mkdir(mode=0o755)
    (package / "__init__.py").write_text("raise SystemExit('it was run')" if open_place == "package" else "")
    (package / "planted.py").write_text("raise SystemExit('it was run')")
    culprit = {
        "file": package / "planted.py",
        "folder": package,
        "cache": package / "__pycache__",
        "package": package / "__init__.py",
        "ancestor": folder.parent,
    }[open_place]
    mode = culprit.stat().st_mode
    culprit.chmod(mode | 0o002)
    if way == "--app":
        result = check("--app", "wrapped.planted")
    else:
        result = check(config="scheduler: {extensions: [wrapped.planted]}")
    culprit.chmod(mode)

    assert 5 == result.exit_code
    assert f"everybody may write {culprit}" in result.stderr or open_place == "ancestor"
    assert "it was run" not in result.stderr
    assert "wrapped.planted" not in sys.modules


def test_code_in_a_folder_that_is_ours_is_run(folder: Path) -> None:
    (folder / "planted.py").write_text(MODULE)

    assert 0 == check("--app", "planted").exit_code


@pytest.mark.parametrize("code", ["", "0", "3"])
def test_code_that_exits_when_it_is_imported_is_refused_and_named(folder: Path, code: str) -> None:
    """It ended the program without a word, with whatever exit code it had."""
    (folder / "planted.py").write_text(f"import sys\nsys.exit({code})\n")
    result = check("--app", "planted")

    assert 5 == result.exit_code
    assert "cannot import 'planted': SystemExit: " in result.stderr


def test_a_current_folder_that_has_been_removed_is_no_place_to_import_from(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    folder.rmdir()
    result = run_cli("--config", str(tmp_path / "config.yaml"), "config", "check")

    assert 0 == result.exit_code, result.stderr


def test_the_current_folder_is_not_importable_if_everybody_may_add_to_it(folder: Path) -> None:
    """Item 6: a module of the wanted name might be anybody's, as in /tmp."""
    (folder / "planted.py").write_text(MODULE)
    (folder / "config.yaml").write_text("")
    folder.chmod(0o1777)
    result = run_cli("--app", "planted", "--database-url", "sqlite:///l.db", "infra", "jobs", "list")
    folder.chmod(0o755)

    assert 5 == result.exit_code
    assert "unless everybody may write it" in result.stderr


@pytest.mark.parametrize("place", ["file", "folder", "ancestor"])
def test_a_configuration_that_everybody_may_write_is_refused(folder: Path, place: str) -> None:
    """Items 3 and 6."""
    inner = folder / "config"
    inner.mkdir(mode=0o755)
    (inner / "config.yaml").write_text("")
    culprit = {"file": inner / "config.yaml", "folder": inner, "ancestor": folder}[place]
    culprit.chmod(culprit.stat().st_mode | 0o002)
    result = run_cli("--config", "config/config.yaml", "config", "check")
    culprit.chmod(culprit.stat().st_mode & ~0o002)

    assert 5 == result.exit_code
    assert "everybody may write" in result.stderr
    assert f"chmod o-w {'config/config.yaml' if place == 'file' else culprit}" in result.stderr


def test_the_sticky_bit_protects_what_is_ours_and_only_that(tmp_path: Path) -> None:
    """Item 6: as in /tmp."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    ours = shared / "ours.yaml"
    ours.write_text("")
    before = writable_by_everyone(ours)
    theirs = None
    if os.geteuid() == 0:
        os.chown(ours, 12345, -1)
        theirs = writable_by_everyone(ours)
    shared.chmod(0o777)
    unprotected = writable_by_everyone(ours)
    shared.chmod(0o700)

    assert before is None
    assert theirs in (None, shared)
    assert (theirs == shared) == (os.geteuid() == 0)
    assert shared == unprotected


def test_a_link_in_an_open_folder_is_as_open_as_the_folder(tmp_path: Path) -> None:
    """Item 6: anybody could point it elsewhere."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "config.yaml").write_text("")
    (shared / "config.yaml").symlink_to(tmp_path / "config.yaml")
    shared.chmod(0o777)
    found = writable_by_everyone(shared / "config.yaml")
    shared.chmod(0o700)

    assert shared == found


def test_what_is_not_there_is_passed_over(tmp_path: Path) -> None:
    assert writable_by_everyone(tmp_path / "no" / "such") is None
    assert writable_by_everyone(tmp_path / "a\0b") is None
