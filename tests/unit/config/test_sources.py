"""Whether files have changed and come to rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cronledger.config.sources import Sources
from cronledger.errors import ConfigError
from cronledger.strict_yaml.problem import recordable


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a configuration that includes another file."""
    (tmp_path / "config.yaml").write_text("includes: [more.yaml]\nscheduler: {max_runs: 5}")
    (tmp_path / "more.yaml").write_text("scheduler: {drain_seconds: 7}")
    return tmp_path


def read(folder: Path) -> Sources:
    sources = Sources(folder / "config.yaml", None, folder)
    sources.load()
    return sources


def test_files_that_nobody_touched_have_not_changed(files: Path) -> None:
    sources = read(files)

    assert [False, False] == [sources.have_settled(), sources.have_settled()]
    assert sources.are_as_read()


@pytest.mark.parametrize("name", ["config.yaml", "more.yaml"])
def test_a_change_counts_once_two_looks_agree(files: Path, name: str) -> None:
    sources = read(files)
    (files / name).write_text("scheduler: {}")

    assert [False, True, True] == [sources.have_settled() for _ in range(3)]
    assert not sources.are_as_read()


def test_a_file_that_is_still_written_to_has_not_come_to_rest(files: Path) -> None:
    sources = read(files)
    looks = []
    for number in range(4):
        (files / "config.yaml").write_text("#" * number)
        looks.append(sources.have_settled())

    assert [False] * 4 == looks


def test_a_file_that_took_anothers_place_has_changed_whatever_its_times(files: Path) -> None:
    path = files / "more.yaml"
    sources = read(files)
    before = path.stat()
    fresh = files / "fresh"
    fresh.write_text("scheduler: {drain_seconds: 8}")
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.replace(path)

    assert before.st_size == path.stat().st_size
    assert [False, True] == [sources.have_settled(), sources.have_settled()]


def test_a_profile_may_come_and_go(files: Path) -> None:
    sources = read(files)
    (files / "profile.yaml").write_text("scheduler: {max_runs: 9}")
    came = [sources.have_settled(), sources.have_settled()]
    with_profile = sources.load(again=True).max_runs
    (files / "profile.yaml").unlink()
    went = [sources.have_settled(), sources.have_settled()]

    assert [[False, True]] * 2 == [came, went]
    assert (9, 5) == (with_profile, sources.load(again=True).max_runs)


def test_a_configuration_that_goes_is_an_error_and_not_an_empty_one(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "services" / "config").mkdir(parents=True)
    found = (files / "config.yaml").rename(files / "services" / "config" / "config.yaml")
    (files / "more.yaml").rename(found.parent / "more.yaml")
    sources = Sources(None, None, files)
    loaded = sources.load().max_runs
    found.unlink()

    assert 5 == loaded
    with pytest.raises(ConfigError, match="no such file"):
        sources.load(again=True)


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_file_is_refused_while_an_instance_runs_by_it(files: Path, text: str) -> None:
    sources = read(files)
    (files / "more.yaml").write_text(text)

    with pytest.raises(ConfigError, match=r"more\.yaml:1:1: error: the file is empty"):
        sources.load(again=True)
    assert 30 > sources.load().drain_seconds


# --- what is kept of a problem --------------------------------------------------------------------------

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"application: {{database_url: [{SECRET}]}}",
        f"application: {SECRET}",
        f"application: {{token: {SECRET}, token: x}}",
        f"application: {{api: {{key: ${{env:{SECRET} }}}}}}",
        f"scheduler: {{jobs: [{{name: x, parameters: {{key: '${{env:{SECRET} x}}'}}}}]}}",
        f"scheduler: {{jobs: [{{name: x, parameters: {SECRET}}}]}}",
        f"scheduler: {{max_runs: x}} # {SECRET}",
        f'application: {{database_url: "postgresql://app:{SECRET}@db',
        f"application:\n  database_url postgresql://app:{SECRET}@db\n  x: 1",
        f"application: {{database_url: *{SECRET}}}",
        f"application: {{database_url: !{SECRET} x}}",
    ],
)
def test_what_is_kept_of_a_problem_has_a_place_and_no_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    kept = [recordable(problem) for problem in caught.value.problems]

    assert [] == [line for line in kept if SECRET in line]
    assert all("config.yaml:" in line and ": error: " in line for line in kept)


def test_what_is_kept_of_a_problem_elsewhere_says_what_is_wrong() -> None:
    problem = "c.yaml:4:7: error: jobs[0] 'parameters': schedule has 5 fields\n    schedule: x\n    ^"

    assert "c.yaml:4:7: error: jobs[0] 'parameters': schedule has 5 fields" == recordable(problem)
