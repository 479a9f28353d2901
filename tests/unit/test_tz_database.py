"""Which time-zone data is in use, with folders as different systems lay them out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cronledger import tz_database
from cronledger.tz_database import TzDatabase, in_use, packaged


def database(folder: Path, *notes: tuple[str, str]) -> str:
    """Make a folder with data, and files that say which."""
    (folder / "Europe").mkdir(parents=True)
    (folder / "Europe" / "London").write_bytes(b"TZif")
    for name, text in notes:
        (folder / name).write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("note", "version"),
    [
        (("tzdata.zi", "# version 2025b\n# This zic input file is in the public domain.\n"), "2025b"),
        (("tzdata.zi", "# version 2024a-dirty\n"), "2024a-dirty"),
        (("+VERSION", "2025a\n"), "2025a"),
        (("version.txt", "2023c"), "2023c"),
    ],
)
def test_a_folder_says_in_a_file_which_version_it_holds(
    tmp_path: Path, note: tuple[str, str], version: str
) -> None:
    folder = database(tmp_path / "zoneinfo", note)

    assert TzDatabase(version, folder) == in_use([folder])
    assert f"{version} (system)" == str(in_use([folder]))


@pytest.mark.parametrize("note", [("tzdata.zi", "Z Europe/London\n"), ("+VERSION", ""), ("README", "2025b")])
def test_a_folder_that_does_not_say_is_named_instead(tmp_path: Path, note: tuple[str, str]) -> None:
    folder = database(tmp_path / "zoneinfo", note)

    assert f"unknown (system: {folder})" == str(in_use([folder]))


def test_the_first_folder_that_holds_data_counts(tmp_path: Path) -> None:
    empty, missing = tmp_path / "empty", tmp_path / "missing"
    empty.mkdir()
    (empty / "tzdata.zi").write_text("# version 1999z\n")
    first = database(tmp_path / "first", ("tzdata.zi", "# version 2025b\n"))
    second = database(tmp_path / "second", ("tzdata.zi", "# version 2026f\n"))

    assert TzDatabase("2025b", first) == in_use([str(missing), str(empty), first, second])


def test_without_a_folder_it_is_the_package(tmp_path: Path) -> None:
    assert TzDatabase(str(packaged()), None) == in_use([str(tmp_path)])


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)

    assert None is packaged()
    assert "unknown (package)" == str(in_use([]))


@pytest.mark.parametrize("with_folder", [True, False])
def test_the_search_path_is_that_of_zoneinfo(tmp_path: Path, with_folder: bool) -> None:
    folder = database(tmp_path / "zoneinfo", ("tzdata.zi", "# version 2011k\n"))
    code = "from cronledger import tz_database; print(tz_database.in_use())"
    environment = os.environ | {"PYTHONTZPATH": folder if with_folder else ""}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert ("2011k (system)" if with_folder else f"{tz_database.packaged()} (package)") == said.stdout.strip()
