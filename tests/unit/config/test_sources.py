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
    with_profile = sources.load().max_runs
    (files / "profile.yaml").unlink()
    went = [sources.have_settled(), sources.have_settled()]

    assert [[False, True]] * 2 == [came, went]
    assert (9, 5) == (with_profile, sources.load().max_runs)


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
        sources.load()


@pytest.mark.parametrize(
    ("text", "place"),
    [("", "1:1"), (" \n\n", "1:1"), ("# made by a tool", "1:1"), ("---\n", "2:1"), ("# x\nnull", "2:1")],
)
@pytest.mark.parametrize("name", ["config.yaml", "more.yaml"])
def test_a_file_that_says_nothing_any_more_is_refused_while_an_instance_runs_by_it(
    files: Path, name: str, text: str, place: str
) -> None:
    """A configuration of which a comment was left retired every job."""
    sources = read(files)
    (files / name).write_text(text)

    with pytest.raises(ConfigError, match=rf"{name}:{place}: error: the file is empty or holds comments"):
        sources.load()
    assert read(files).are_as_read()


def test_a_file_that_never_said_anything_may_go_on_like_that(files: Path) -> None:
    (files / "more.yaml").write_text("# nothing yet")
    sources = read(files)
    (files / "config.yaml").write_text("includes: [more.yaml]\nscheduler: {max_runs: 6}")

    assert 6 == sources.load().max_runs


def test_a_file_may_say_that_it_says_nothing(files: Path) -> None:
    sources = read(files)
    (files / "more.yaml").write_text("{}")

    assert 5 == sources.load().max_runs


# --- where nothing can be found -------------------------------------------------------------------------


def test_files_are_read_although_the_current_folder_has_been_removed(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FileNotFoundError ended the instance of a release that had been removed."""
    gone = files / "release"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    settings = Sources(files / "config.yaml", None).load()

    assert ((f"{files}/config.yaml", f"{files}/more.yaml"), files) == (settings.files, settings.root)
    assert () == Sources(None, None).load().files
    with pytest.raises(ConfigError, match=r"^c\.yaml:1:1: error: no such file"):
        Sources(Path("c.yaml"), None).load()


def test_a_profile_that_nobody_can_look_for_is_a_problem_with_its_place(files: Path) -> None:
    """PermissionError ended the instance; a loop of links is what root cannot look into either."""
    sources = read(files)
    (files / "profile.yaml").symlink_to("profile.yaml")

    with pytest.raises(ConfigError, match=r"profile\.yaml:1:1: error: cannot be read: Too many levels"):
        sources.load()


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
