"""What files say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.config.load import find_config, find_profile, load
from cronledger.config.model import Settings
from cronledger.config.reference import Secrets
from cronledger.domain.definition import DayMatch
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import RetryOn
from cronledger.errors import ConfigError

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(text: str, name: str = "config.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_files_there_are_defaults_and_no_jobs() -> None:
    assert Settings() == load(None, None)


@pytest.mark.parametrize(("file", "count"), [("config-of-000.yaml", 4), ("config-of-001.yaml", 8)])
def test_the_files_of_the_source_documents_load_unchanged(file: str, count: int) -> None:
    settings = load(DATA / file, None)

    assert (True, count) == (settings.enabled, len(settings.jobs))
    assert all(entry.name == entry.job and "schedule" in entry.fields for entry in settings.jobs)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "scheduler:\n", "scheduler:\n  jobs:\n", "{}", "\ufeff{}"]
)
def test_an_empty_file_is_an_empty_configuration(text: str) -> None:
    settings = load(config(text), None)

    assert ((), ("config.yaml",)) == (settings.jobs, settings.files)


def test_every_setting_of_the_scheduler_is_read() -> None:
    settings = load(
        config(
            "application: {database_url: 'postgresql://u:${env:PW}@h/d', site: {title: Tea}}\n"
            "scheduler:\n  enabled: false\n  timezone: Europe/Berlin\n  day_match: and\n"
            "  extensions: [shop.jobs, 'shop.more:extension']\n  bootstrap_jobs: [warm, 'core:tidy']\n"
            "  startup_wait_seconds: 1.5\n  drain_seconds: 5\n  max_runs: 7\n"
        ),
        None,
    )

    assert (False, "Europe/Berlin", DayMatch.AND) == (settings.enabled, settings.timezone, settings.day_match)
    assert (1.5, 5.0, 7) == (settings.startup_wait_seconds, settings.drain_seconds, settings.max_runs)
    assert ("shop.jobs", "shop.more:extension") == settings.extensions
    assert ("warm", "core:tidy") == settings.bootstrap_jobs
    assert "postgresql://u:${env:PW}@h/d" == settings.application_database_url
    assert {"site": {"title": "Tea"}} == settings.application


def test_a_job_may_be_named_by_its_code_alone_or_by_its_label_alone() -> None:
    settings = load(config("scheduler: {jobs: [{job: tidy}, {name: sweep}]}"), None)

    assert [("tidy", "core", "tidy"), ("sweep", "core", "sweep")] == [
        (entry.name, entry.extension, entry.job) for entry in settings.jobs
    ]


def test_only_what_is_written_is_kept_with_its_place() -> None:
    settings = load(
        config(
            "scheduler:\n  jobs:\n    - name: tidy\n      overlap: queue\n"
            "      retry: {max_attempts: 3, on: [error]}\n      parameters:\n        days: 7\n"
        ),
        None,
    )
    fields = settings.jobs[0].fields

    assert ["name", "overlap", "retry.max_attempts", "retry.on", "parameters.days"] == list(fields)
    assert (Overlap.QUEUE, 3, (RetryOn.ERROR,), 7) == tuple(
        fields[key].value for key in ("overlap", "retry.max_attempts", "retry.on", "parameters.days")
    )
    assert ("config.yaml", 7, 9) == (
        fields["parameters.days"].place.file,
        fields["parameters.days"].place.line,
        fields["parameters.days"].place.column,
    )


def test_parameters_may_hold_whatever_json_can() -> None:
    settings = load(
        config("scheduler: {jobs: [{name: a, parameters: {t: [1, -2.5, true, null, 'x', {y: 1e3}]}}]}"), None
    )

    assert [1, -2.5, True, None, "x", {"y": 1000.0}] == settings.jobs[0].fields["parameters.t"].value


def test_includes_are_relative_to_the_including_file_and_read_once() -> None:
    root = config("includes: [../scheduler/config.yaml, ../more/more.yaml]", "services/config/config.yaml")
    config("scheduler: {timezone: UTC, jobs: [{name: a}]}", "services/scheduler/config.yaml")
    config(
        "includes: [../scheduler/config.yaml]\nscheduler: {timezone: UTC, jobs: [{name: b}]}",
        "services/more/more.yaml",
    )

    settings = load(root, None)

    assert ["a", "b"] == [entry.name for entry in settings.jobs]
    assert ("services/config/config.yaml", "services/scheduler/config.yaml", "services/more/more.yaml") == (
        settings.files
    )


def test_the_profile_overrides_settings_and_keeps_its_jobs_apart() -> None:
    settings = load(
        config("application: {a: 1, b: 2}\nscheduler: {enabled: true, jobs: [{name: tidy}]}"),
        config(
            "application: {b: 3}\nscheduler: {enabled: false, jobs: [{extension: core, job: tidy}]}",
            "profile.yaml",
        ),
    )

    assert (False, {"a": 1, "b": 3}, 1) == (settings.enabled, settings.application, len(settings.jobs))
    assert [("core", "tidy", None)] == [(each.extension, each.job, each.name) for each in settings.overrides]


def test_the_configuration_of_a_project_is_found_in_its_usual_places() -> None:
    here = Path.cwd()
    nothing = find_config(here)
    scheduler = config("{}", "services/scheduler/config.yaml")
    second = find_config(here)
    config("{}", "services/config/config.yaml")
    first = find_config(here)

    assert (None, here / scheduler, here / "services/config/config.yaml") == (nothing, second, first)


def test_the_profile_beside_the_configuration_comes_before_the_one_in_the_folder() -> None:
    here = Path.cwd()
    root = here / config("{}", "services/config/config.yaml")
    nothing = find_profile(root, here)
    config("{}", "profile.yaml")
    outer = find_profile(root, here)
    config("{}", "services/config/profile.yaml")

    assert (None, here / "profile.yaml") == (nothing, outer)
    assert here / "services/config/profile.yaml" == find_profile(root, here)
    assert here / "profile.yaml" == find_profile(None, here)


def test_a_secret_is_looked_up_when_it_is_used() -> None:
    secret = config("from a file\n", "secret")

    assert "a-x-b" == Secrets({"X": "x"}).reveal("a-${env:X}-b")
    assert "from a file" == Secrets({"X_FILE": str(secret)}).reveal("${env:X}")
    assert "no reference: $X ${X}" == Secrets({}).reveal("no reference: $X ${X}")


@pytest.mark.parametrize("environ", [{}, {"TOKEN_FILE": "missing"}, {"TOKEN_FILE": "binary"}])
def test_a_secret_that_is_missing_is_named(environ: dict[str, str]) -> None:
    Path("binary").write_bytes(b"\xff")

    with pytest.raises(ConfigError, match="TOKEN"):
        Secrets(environ).reveal("${env:TOKEN}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://app:pa/ss@db/app", "postgresql://app:***@db/app"),
        ("postgresql://app:p@ss@db:5432/app", "postgresql://app:***@db:5432/app"),
        ("postgresql://app@there:pw@db/app", "postgresql://app@there:***@db/app"),
        ("https://ann:p/w@example.com/", "https://ann:***@example.com/"),
        ("git+https://ann:pw@example.com/x@v1", "git+https://ann:***@example.com/x@v1"),
        ('{"at":"redis://ann:pw@db/0","to":"a@b"}', '{"at":"redis://ann:***@db/0","to":"a@b"}'),
        ("amqp://h:1/x,amqp://ann:pw@mq", "amqp://h:1/x,amqp://ann:***@mq"),
    ],
)
def test_a_password_in_a_url_is_starred_whatever_it_holds(text: str, told: str) -> None:
    """A `/` in it, or an `@` in it or in the user's name, left it readable."""
    assert f"no answer from {told}" == Secrets({}).hide(f"no answer from {text}")


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com:8080/a@b",
        "HTTP://example.com:80?to=a@b",
        "postgresql://db:5432/app asked by ann@example.com",
        '{"site":"https://example.com","mail":"ann@example.com"}',
        "sqlite:////srv/a:b@c.db",
    ],
)
def test_what_is_no_password_stays_readable(text: str) -> None:
    assert text == Secrets({}).hide(text)
