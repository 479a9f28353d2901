"""Code, defaults, entries and profile to definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.config.load import load
from cronledger.config.model import Settings
from cronledger.config.resolve import Resolution, resolve
from cronledger.domain.catchup import CatchUp
from cronledger.domain.cron_advice import advice
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap, JobDefinition, Startup
from cronledger.domain.ids import JobName
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import Retry
from cronledger.errors import ConfigError, RegistryError
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.registry import Registry

DATA = Path(__file__).parent / "data"


class Code(Job):
    """A job with any members."""

    def __init__(self, name: str, **members: object) -> None:
        self.name = name
        self.__dict__.update(members)

    async def execute(self, ctx: JobContext) -> None:
        """Do nothing."""


def provided(*jobs: Job | tuple[str, Job]) -> Registry:
    registry = Registry()
    for each in jobs:
        extension, job = each if isinstance(each, tuple) else ("core", each)
        registry.add(job, extension)
    return registry


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(text: str, profile: str = "") -> Settings:
    Path("config.yaml").write_text(text)
    Path("profile.yaml").write_text(profile)
    return load(Path("config.yaml"), Path("profile.yaml") if profile else None)


def resolved(text: str, registry: Registry, profile: str = "") -> Resolution:
    return resolve(settings(text, profile), registry)


def one(text: str, registry: Registry, profile: str = "") -> JobDefinition:
    (definition,) = resolved(text, registry, profile).definitions
    return definition


def refused(text: str, registry: Registry, profile: str = "") -> list[str]:
    with pytest.raises(ConfigError) as error:
        resolved(text, registry, profile)
    return [problem.splitlines()[0] for problem in error.value.problems]


TIDY = Code(
    "tidy",
    schedule="0 0 3 * * *",
    description="Tidies.",
    tags=("night",),
    idempotent=True,
    run_on_startup=True,
)
PLAIN = Code("plain")


# --- layers ---


def test_nothing_resolves_to_nothing() -> None:
    resolution = resolve(Settings(), Registry())

    assert ((), {}, ()) == (resolution.definitions, resolution.origins, resolution.warnings)
    assert 12 == len(resolution.revision)


def test_an_entry_takes_what_it_does_not_say_from_the_code() -> None:
    definition = one("scheduler: {jobs: [{name: tidy}]}", provided(TIDY))

    assert (
        JobDefinition(
            name="tidy",
            job="tidy",
            description="Tidies.",
            schedule="0 0 3 * * *",
            tags=("night",),
            idempotent=True,
            startup=Startup.CLUSTER,
        )
        == definition
    )


def test_every_field_of_an_entry_reaches_the_definition() -> None:
    definition = one(
        """
scheduler:
  day_match: and
  jobs:
    - name: nightly
      extension: shop
      job: plain
      schedule: "0 30 2 * * *"
      timezone: Europe/Berlin
      enabled: false
      enforce: false
      owner: ada
      tags: [a, b, a]
      overlap: allow
      max_concurrent: 2
      catch_up: all
      catch_up_limit: 5
      grace_seconds: 30
      timeout_seconds: 1.5
      idempotent: true
      recovery_attempts: 1
      claim_timeout_seconds: 60
      retry: {max_attempts: 3, backoff_seconds: 1}
      jitter_seconds: 5
      priority: -3
      queue: slow
      dst: {gap: skip, fold: both}
      parameters: {days: 7}
""",
        provided(("shop", PLAIN)),
    )

    assert (
        JobDefinition(
            name="nightly",
            extension="shop",
            job="plain",
            schedule="0 30 2 * * *",
            timezone="Europe/Berlin",
            day_match=DayMatch.AND,
            dst=Dst(gap=Gap.SKIP, fold=Fold.BOTH),
            enabled=False,
            parameters={"days": 7},
            enforce=False,
            owner="ada",
            tags=("a", "b"),
            overlap=Overlap.ALLOW,
            max_concurrent=2,
            catch_up=CatchUp.ALL,
            catch_up_limit=5,
            grace_seconds=30,
            timeout_seconds=1.5,
            idempotent=True,
            recovery_attempts=1,
            claim_timeout_seconds=60,
            retry=Retry(max_attempts=3, backoff_seconds=1.0),
            jitter_seconds=5,
            priority=-3,
            queue="slow",
        )
        == definition
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [("", "0 0 3 * * *"), ("schedule: ''", ""), ("schedule: '0 0 4 * * *'", "0 0 4 * * *")],
    ids=["absent: the code's", "empty: manual only", "text: that"],
)
def test_a_schedule_may_be_absent_empty_or_a_text(entry: str, expected: str) -> None:
    text = f"scheduler:\n  jobs:\n    - name: tidy\n      {entry}\n"

    assert expected == one(text, provided(TIDY)).schedule


def test_each_field_comes_from_the_strongest_layer_that_says_it() -> None:
    resolution = resolved(
        "scheduler:\n"
        "  timezone: Europe/Paris\n"
        "  defaults: {timeout_seconds: 10, grace_seconds: 10, retry: {max_attempts: 2, jitter: false}}\n"
        "  jobs:\n"
        "    - name: tidy\n"
        "      timeout_seconds: 20\n"
        "      retry: {max_attempts: 4}\n"
        "      parameters: {a: 1, b: 1}\n",
        provided(TIDY),
        "scheduler:\n  jobs:\n    - extension: core\n      job: tidy\n"
        "      schedule: '0 0 5 * * *'\n      parameters: {b: 2}\n",
    )
    (definition,) = resolution.definitions
    origins = resolution.origins[definition.name]

    assert ("0 0 5 * * *", "Europe/Paris") == (definition.schedule, definition.timezone)
    assert (20.0, 10, {"a": 1, "b": 2}) == (
        definition.timeout_seconds,
        definition.grace_seconds,
        definition.parameters,
    )
    assert Retry(max_attempts=4, jitter=False) == definition.retry
    assert {
        "description": "code",
        "schedule": "profile.yaml:5",
        "timezone": "config.yaml:2",
        "grace_seconds": "config.yaml:3",
        "timeout_seconds": "config.yaml:6",
        "parameters.a": "config.yaml:8",
        "parameters.b": "profile.yaml:6",
        "retry.max_attempts": "config.yaml:7",
        "retry.jitter": "config.yaml:3",
        "overlap": "default",
        "startup": "code",
        "name": "config.yaml:5",
    } == {key: origins[key] for key in origins if key in ORIGINS_SHOWN}


ORIGINS_SHOWN = {
    "description", "schedule", "timezone", "grace_seconds", "timeout_seconds", "parameters.a", "parameters.b",
    "retry.max_attempts", "retry.jitter", "overlap", "startup", "name",
}  # fmt: skip


def test_an_override_without_a_name_is_for_all_entries_of_the_job_and_one_with_a_name_is_stronger() -> None:
    resolution = resolved(
        "scheduler: {jobs: [{name: a, job: tidy}, {name: b, job: tidy}, {name: plain}]}",
        provided(TIDY, PLAIN),
        "scheduler:\n  jobs:\n"
        "    - {extension: core, job: tidy, name: b, priority: 2}\n"
        "    - {extension: core, job: tidy, priority: 1}\n",
    )

    assert {"a": 1, "b": 2, "plain": 0} == {each.name: each.priority for each in resolution.definitions}


def test_an_override_may_lift_a_limit() -> None:
    definition = one(
        "scheduler: {jobs: [{name: tidy, timeout_seconds: 5}]}",
        provided(TIDY),
        "scheduler: {jobs: [{extension: core, job: tidy, timeout_seconds: null}]}",
    )

    assert definition.timeout_seconds is None


# --- which jobs ---


@pytest.mark.parametrize(("file", "count"), [("config-of-000.yaml", 4), ("config-of-001.yaml", 8)])
def test_the_files_of_the_source_documents_resolve(file: str, count: int) -> None:
    read = load(DATA / file, None)
    registry = provided(*((entry.extension, Code(entry.job)) for entry in read.jobs))
    resolution = resolve(read, registry)

    assert (count, ()) == (len(resolution.definitions), resolution.warnings)
    assert all(definition.scheduled and definition.schedule for definition in resolution.definitions)


def test_a_registered_job_without_an_entry_only_runs_by_hand() -> None:
    resolution = resolved("scheduler: {timezone: Europe/Paris}", provided(TIDY, PLAIN))

    assert [("plain", False, "", Startup.NEVER), ("tidy", False, "", Startup.NEVER)] == [
        (each.name, each.scheduled, each.schedule, each.startup) for each in resolution.definitions
    ]
    assert 1 == len(resolution.warnings)
    assert "core:tidy" in resolution.warnings[0]


def test_a_registered_job_whose_name_is_taken_is_called_after_its_extension_too() -> None:
    resolution = resolved(
        "scheduler: {jobs: [{name: tidy}]}", provided(TIDY, ("blog", Code("tidy")), ("shop", Code("tidy")))
    )

    assert [("tidy", "core"), ("blog-tidy", "blog"), ("shop-tidy", "shop")] == [
        (each.name, each.extension) for each in resolution.definitions
    ]


def test_two_entries_may_be_for_one_job() -> None:
    resolution = resolved(
        "scheduler: {jobs: [{name: a, job: tidy}, {name: b, job: tidy, schedule: ''}]}", provided(TIDY)
    )

    assert [("a", "tidy", "0 0 3 * * *"), ("b", "tidy", "")] == [
        (each.name, each.job, each.schedule) for each in resolution.definitions
    ]


def test_the_revision_depends_on_what_is_said_and_not_on_the_order() -> None:
    registry = provided(TIDY, PLAIN)
    first = resolved("scheduler: {jobs: [{name: tidy}, {name: plain}]}", registry).revision
    second = resolved("# moved\nscheduler: {jobs: [{name: plain}, {name: tidy}]}", registry).revision
    third = resolved("scheduler: {jobs: [{name: plain}, {name: tidy, priority: 1}]}", registry).revision

    assert first == second
    assert first != third


# --- the startup rule ---


@pytest.mark.parametrize(
    ("wants", "entry", "expected"),
    [
        (True, "enabled: true", Startup.CLUSTER),
        (True, "enabled: false", Startup.NEVER),
        (False, "enabled: true", Startup.NEVER),
        (False, "enabled: false", Startup.NEVER),
        (True, "startup: never", Startup.NEVER),
        (True, "startup: inherit", Startup.CLUSTER),
        (True, "startup_scope: instance", Startup.INSTANCE),
        (False, "startup_scope: instance", Startup.NEVER),
    ],
)
def test_a_job_runs_at_start_if_its_code_says_so_and_its_entry_lets_it(
    wants: bool, entry: str, expected: Startup
) -> None:
    text = f"scheduler:\n  jobs:\n    - name: warm\n      {entry}\n"

    assert expected == one(text, provided(Code("warm", run_on_startup=wants))).startup


def test_a_job_that_is_not_listed_does_not_run_at_start() -> None:
    assert Startup.NEVER == one("{}", provided(Code("warm", run_on_startup=True))).startup


def test_the_profile_can_keep_a_job_from_running_at_start() -> None:
    definition = one(
        "scheduler: {jobs: [{name: tidy}]}",
        provided(TIDY),
        "scheduler: {jobs: [{extension: core, job: tidy, enabled: false}]}",
    )

    assert (False, Startup.NEVER) == (definition.enabled, definition.startup)


@pytest.mark.parametrize("wanted", ["plain", "core:plain"])
def test_a_bootstrap_job_runs_at_start_without_an_entry(wanted: str) -> None:
    definition = one(f"scheduler: {{bootstrap_jobs: ['{wanted}']}}", provided(PLAIN))

    assert (False, "", Startup.CLUSTER) == (definition.scheduled, definition.schedule, definition.startup)


def test_a_bootstrap_job_with_an_entry_keeps_its_schedule() -> None:
    resolution = resolved(
        "scheduler:\n  bootstrap_jobs: [p]\n  jobs: [{name: p, job: plain, schedule: '0 0 3 * * *'}]\n",
        provided(PLAIN),
    )
    (definition,) = resolution.definitions

    assert (True, "0 0 3 * * *", Startup.CLUSTER) == (
        definition.scheduled,
        definition.schedule,
        definition.startup,
    )
    assert "config.yaml:2" == resolution.origins[definition.name]["startup"]


def test_a_disabled_entry_is_stronger_than_bootstrap_jobs_and_a_warning_says_so() -> None:
    resolution = resolved(
        "scheduler:\n  bootstrap_jobs: [plain]\n  jobs:\n    - {name: plain, enabled: false}\n",
        provided(PLAIN),
    )

    assert Startup.NEVER == resolution.definitions[0].startup
    assert (
        "config.yaml:2: bootstrap_jobs names 'plain', but config.yaml:4 keeps it from running at start",
    ) == (resolution.warnings)


# --- problems ---


def test_an_extension_that_is_not_loaded_and_a_job_it_does_not_have_are_different_problems() -> None:
    text = (
        "scheduler:\n  jobs:\n"
        "    - {name: a, extension: shop}\n"
        "    - {name: b, job: tidi}\n"
        "    - {extension: blgo, job: tidy}\n"
    )

    assert [
        "config.yaml:3:28: error: jobs[0] 'a': extension 'shop' is not loaded (loaded: blog, core)",
        "config.yaml:4:22: error: jobs[1] 'b': extension 'core' has no job 'tidi' (it has plain, tidy)",
        "config.yaml:5:19: error: jobs[2] 'tidy': extension 'blgo' is not loaded (loaded: blog, core)",
    ] == refused(text, provided(TIDY, PLAIN, ("blog", Code("x"))))


def test_a_label_stands_once() -> None:
    text = "scheduler:\n  jobs:\n    - name: tidy\n    - {name: tidy, job: plain}\n"

    assert [
        "config.yaml:4:14: error: jobs[1] 'tidy': this name is taken by the entry at config.yaml:3"
    ] == refused(text, provided(TIDY, PLAIN))


def test_a_bootstrap_job_that_nobody_knows_is_refused() -> None:
    text = "scheduler:\n  bootstrap_jobs: [tidi, x]\n"

    unknown = "error: bootstrap_jobs: no entry and no registered job is called"

    assert [
        f"config.yaml:2:20: {unknown} 'tidi' (there are: tidy)",
        f"config.yaml:2:26: {unknown} 'x' (there are: tidy)",
    ] == refused(text, provided(TIDY))


def test_a_bootstrap_job_must_mean_one_job() -> None:
    text = "scheduler: {bootstrap_jobs: [tidy], jobs: [{name: a, job: tidy}, {name: b, job: tidy}]}\n"

    assert ["config.yaml:1:30: error: bootstrap_jobs: 'tidy' may mean each of a, b"] == refused(
        text, provided(TIDY)
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "{extension: core, job: tidi}",
            "30: error: jobs[0] 'tidi': no entry of scheduler.jobs is for core:tidi (there are: core:tidy)",
        ),
        (
            "{extension: blog, job: tidy}",
            "30: error: jobs[0] 'tidy': no entry of scheduler.jobs is for blog:tidy (there are: core:tidy)",
        ),
        (
            "{extension: core, job: plain}",
            "30: error: jobs[0] 'plain': no entry of scheduler.jobs is for core:plain (there are: core:tidy)",
        ),
        (
            "{extension: core, job: tidy, name: b}",
            "42: error: jobs[0] 'tidy': no entry for core:tidy is called 'b' (there are: tidy)",
        ),
    ],
)
def test_an_override_that_meets_no_entry_is_refused_and_names_those_there_are(
    override: str, expected: str
) -> None:
    problems = refused(
        "scheduler: {jobs: [{name: tidy}]}",
        provided(TIDY, PLAIN),
        f"scheduler:\n  jobs:\n    - {override}\n",
    )

    assert [f"profile.yaml:3:{expected}"] == problems


def test_a_job_is_overridden_once() -> None:
    item = "{extension: core, job: tidy, priority: 1}"
    problems = refused(
        "scheduler: {jobs: [{name: tidy}]}",
        provided(TIDY),
        f"scheduler:\n  jobs:\n    - {item}\n    - {item}\n",
    )

    assert ["profile.yaml:4:7: error: jobs[1] 'tidy': already overridden at profile.yaml:3"] == problems


def test_a_schedule_in_the_code_is_checked_when_it_is_used() -> None:
    registry = provided(Code("hourly", schedule="0 * * * *"))

    (problem,) = refused("scheduler: {jobs: [{name: hourly}]}", registry)
    says = "the default of core:hourly: schedule has 5 fields, 6 are needed (seconds first)"

    assert f"config.yaml:1:27: error: jobs[0] 'hourly': {says}" == problem
    assert "" == one("{}", registry).schedule


def test_all_problems_are_told_at_once() -> None:
    problems = refused(
        "scheduler:\n  bootstrap_jobs: [nobody]\n  jobs:\n    - {name: a}\n    - {name: a}\n",
        provided(TIDY),
        "scheduler:\n  jobs:\n    - {job: b}\n",
    )

    assert [2, 4, 5, 5, 3] == [int(problem.split(":")[1]) for problem in problems]


# --- advice ---


def test_two_restricted_day_fields_are_worth_a_second_look() -> None:
    resolution = resolved("scheduler: {jobs: [{name: tidy, schedule: '0 0 0 13 * 5'}]}", provided(TIDY))

    assert ("config.yaml:1: 'tidy': " + advice("0 0 0 13 * 5")[0],) == resolution.warnings


def test_day_fields_that_never_meet_are_refused_under_and() -> None:
    text = "scheduler: {day_match: and, jobs: [{name: tidy, schedule: '0 0 0 29 2 1#1'}]}"

    assert [
        "config.yaml:1:59: error: jobs[0] 'tidy': schedule: day: never fires: these dates do not exist"
    ] == (refused(text, provided(TIDY)))


def test_a_limit_without_its_policy_is_worth_a_second_look() -> None:
    resolution = resolved("scheduler: {jobs: [{name: tidy, max_concurrent: 2}]}", provided(TIDY))

    assert (
        "config.yaml:1: 'tidy': max_concurrent has no effect without `overlap: allow`",
    ) == resolution.warnings


# --- other kinds of schedules ---


def test_every_and_at_are_other_ways_to_write_a_schedule() -> None:
    assert "every 90s" == one("scheduler: {jobs: [{name: tidy, every: 90s}]}", provided(TIDY)).schedule
    assert (
        "at 2026-12-24T18:00:00"
        == one("scheduler: {jobs: [{name: tidy, at: 2026-12-24T18:00:00}]}", provided(TIDY)).schedule
    )


def test_the_strongest_layer_decides_the_kind_of_schedule() -> None:
    text = "scheduler: {jobs: [{name: tidy, every: 90s}]}"
    profile = 'scheduler: {jobs: [{job: tidy, schedule: "0 0 3 * * *"}]}'

    assert "0 0 3 * * *" == one(text, provided(TIDY), profile).schedule
    assert "config.yaml:1" == resolved(text, provided(TIDY)).origins[JobName("tidy")]["schedule"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "every: 90s, at: 2026-12-24T18:00:00",
            "49: error: jobs[0] 'tidy': at: the schedule is already set at config.yaml:1",
        ),
        ("every: 90", "40: error: jobs[0] 'tidy': every: must be a duration with a unit, not '90'"),
        ("every: 1:30", "40: error: jobs[0] 'tidy': every: must be text: quote 1:30"),
        ("every: ''", "40: error: jobs[0] 'tidy': every: must not be empty"),
        ("every: 30 seconds", "40: error: jobs[0] 'tidy': schedule: the form is: every DURATION"),
        ("at: ", "37: error: jobs[0] 'tidy': at: must be a time such as 2026-12-24T18:00:00, not empty"),
        ("at: 18", "37: error: jobs[0] 'tidy': at: must be a time such as 2026-12-24T18:00:00, not '18'"),
        ("at: 2026-12-24", "37: error: jobs[0] 'tidy': schedule: 2026-12-24 has no time of day"),
        (
            "at: 2011-12-30T12:00:00, timezone: Pacific/Apia",
            "37: error: jobs[0] 'tidy': schedule: never fires: the clock of Pacific/Apia never shows",
        ),
        (
            "at: 2026-03-29T02:30:00, timezone: Europe/Berlin, dst: {gap: skip}",
            "37: error: jobs[0] 'tidy': schedule: never fires: the clock of Europe/Berlin never shows",
        ),
    ],
)
def test_a_kind_of_schedule_that_cannot_be_read_is_refused(entry: str, problem: str) -> None:
    (found,) = refused(f"scheduler: {{jobs: [{{name: tidy, {entry}}}]}}", provided(TIDY))

    assert f"config.yaml:1:{problem}" in found


def test_a_day_of_elapsed_time_in_a_zone_is_worth_a_second_look() -> None:
    text = "scheduler: {timezone: Europe/Berlin, jobs: [{name: tidy, every: 1d}]}"
    (warning,) = resolved(text, provided(TIDY)).warnings

    assert "a day of elapsed time has 24 hours" in warning


@pytest.mark.parametrize("said", ["nightly", ["nightly", ""], [1], 5])
def test_labels_that_are_no_list_of_words_are_refused(said: object) -> None:
    with pytest.raises(RegistryError, match=r"core:tidy: tags is .*, which is not a list of words"):
        provided(Code("tidy", tags=said))
