"""What people get wrong, and the one line that tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.config.load import load
from cronledger.errors import ConfigError

NAME_RULE = (
    "is not a name: small letters, digits, '_' and '-', beginning with a letter, at most 64 "
    "(a name, never an import path)"
)


def job(*lines: str) -> str:
    """A file with one job, whose further lines begin in line 4, column 7."""
    return "\n".join(["scheduler:", "  jobs:", "    - name: tidy", *(f"      {line}" for line in lines), ""])


BAD = {
    # --- the language ---
    "an unquoted star": (job("schedule: * * * * * *"), "4:17: error: an unquoted * begins a YAML alias"),
    "an unquoted star and step": (
        job("schedule: */5 * * * * *"),
        "4:17: error: an unquoted * begins a YAML alias",
    ),
    "an unquoted at sign": (job("schedule: @daily"), "4:17: error: a plain text cannot begin with '@'"),
    "an unquoted percent sign": (job("owner: %me"), "4:14: error: a plain text cannot begin with '%'"),
    "an unquoted backtick": (job("owner: `me`"), "4:14: error: a plain text cannot begin with '`'"),
    "a tab as indentation": (
        "scheduler:\n\tenabled: true",
        "2:1: error: a tab cannot be used as indentation",
    ),
    "an alias": (
        job("tags: &t [a]", "owner: *t"),
        "5:14: error: aliases (*) are not supported",
    ),
    "an anchor": (job("tags: &t [a]"), "4:13: error: anchors (&) are not supported"),
    "a tag": (job("owner: !!str 5"), "4:14: error: tags (!) are not supported"),
    "a Python tag": (
        job("parameters: {x: !!python/object/apply:os.system [id]}"),
        "4:23: error: tags (!) are not supported",
    ),
    "a merge key": (
        job("parameters:", "  <<: {a: 1}"),
        "5:9: error: merge keys (<<) are not supported",
    ),
    "a duplicate key": (
        job("enabled: true", "enabled: false"),
        "5:7: error: 'enabled' stands twice; it is already in line 4",
    ),
    "two documents": (
        "scheduler: {}\n---\nscheduler: {}",
        "2:1: error: only one document is allowed in a file",
    ),
    "a list as a key": ("? [a]\n: 1\n", "1:3: error: a key must be a text"),
    "an empty key": ('"": 1\n', "1:1: error: a key must be a text"),
    "an open quote": ('scheduler: "', "1:13: error: not valid YAML: found unexpected end of stream"),
    "an open bracket": ("scheduler: {jobs: [", "1:20: error: not valid YAML"),
    "two colons": ("scheduler: jobs: []", "1:16: error: not valid YAML: mapping values are not allowed"),
    "a list at the top": ("- scheduler", "1:1: error: the file must be a mapping of keys to values"),
    "a text at the top": ("scheduler", "1:1: error: the file must be a mapping of keys to values"),
    "a control character": ("scheduler: \x07", "1:12: error: control character U+0007 in the file"),
    "an escaped control character": (
        job(r'owner: "a\0b"'),
        "4:14: error: control character U+0000 in a text",
    ),
    "not UTF-8": (b"scheduler:\n  timezone: \xff", "2:13: error: the file is not UTF-8"),
    "not UTF-8 behind a byte order mark": (
        b"\xef\xbb\xbfscheduler:\n  timezone: \xff",
        "2:13: error: the file is not UTF-8",
    ),
    "not UTF-8 directly behind a byte order mark": (
        b"\xef\xbb\xbf\xff",
        "1:1: error: the file is not UTF-8",
    ),
    "UTF-16": ("scheduler: {}".encode("utf-16"), "1:1: error: the file is not UTF-8"),
    "a large file": ("# " + "x" * 256 * 1024, "1:1: error: the file is larger than 256 KiB"),
    "a deep file": ("[" * 6000, "1:21: error: nested deeper than 20 levels"),
    "many values": ("[" + "1," * 30_000 + "]", "1:40000: error: more than 20000 values in one file"),
    # --- keys ---
    "a misspelled key at the top": (
        "schedular: {}",
        "1:1: error: unknown key 'schedular', did you mean 'scheduler'?",
    ),
    "a misspelled key": (
        "scheduler:\n  enabld: true",
        "2:3: error: scheduler: unknown key 'enabld', did you mean 'enabled'?",
    ),
    "a misspelled key of a job": (
        job('shedule: ""'),
        "4:7: error: jobs[0] 'tidy': unknown key 'shedule', did you mean 'schedule'?",
    ),
    "a misspelled key of a mapping": (
        job("retry: {max_attemps: 3}"),
        "4:15: error: jobs[0] 'tidy': retry: unknown key 'max_attemps', did you mean 'max_attempts'?",
    ),
    "a key that resembles nothing": (
        job("dst: {zzz: 1}"),
        "4:13: error: jobs[0] 'tidy': dst: unknown key 'zzz' (known: fold, gap)",
    ),
    "an identity in the defaults": (
        "scheduler: {defaults: {extension: blog}}",
        "1:24: error: defaults: unknown key 'extension'",
    ),
    # --- kinds ---
    "a scheduler that is a list": (
        "scheduler: [1]",
        "1:12: error: scheduler: must be a mapping of keys to values",
    ),
    "jobs that are a mapping": (
        "scheduler:\n  jobs: {a: 1}",
        "2:9: error: jobs: must be a list, not a mapping",
    ),
    "a job that is a text": (
        "scheduler:\n  jobs: [tidy]",
        "2:10: error: jobs[0]: must be a mapping of keys to values, not 'tidy'",
    ),
    "an empty item": ("scheduler:\n  jobs:\n    -\n", "3:6: error: jobs[0]: the item is empty"),
    "a job without a name": (
        "scheduler:\n  jobs:\n    - enabled: true\n",
        "3:7: error: jobs[0]: name or job is missing",
    ),
    "yes for true": ("scheduler:\n  enabled: yes", "2:12: error: enabled: must be true or false, not 'yes'"),
    "a quoted true": (
        job('enabled: "true"'),
        "4:16: error: jobs[0] 'tidy': enabled: must be true or false, not 'true'",
    ),
    "one for true": (
        job("enforce: 1"),
        "4:16: error: jobs[0] 'tidy': enforce: must be true or false, not '1'",
    ),
    "nothing for true": (
        job("enabled:"),
        "4:15: error: jobs[0] 'tidy': enabled: must be true or false, not empty",
    ),
    "on as a text": (
        job("owner: on"),
        "4:14: error: jobs[0] 'tidy': owner: must be text: quote on, which YAML reads as something else",
    ),
    "no as a tag": (
        job("tags: [se, no]"),
        "4:18: error: jobs[0] 'tidy': tags: each item must be text: quote no, which YAML",
    ),
    "a time as a text": (
        job("schedule: 12:30:00"),
        "4:17: error: jobs[0] 'tidy': schedule: must be text: quote 12:30:00",
    ),
    "an octal number as a text": (
        job("owner: 010"),
        "4:14: error: jobs[0] 'tidy': owner: must be text: quote 010",
    ),
    "an octal number as a number": (
        job("priority: 010"),
        "4:17: error: jobs[0] 'tidy': priority: must be a whole number from -1000 to 1000, not '010'",
    ),
    "a date in a parameter": (
        job("parameters:", "  since: 2026-01-01"),
        "5:16: error: jobs[0] 'tidy': parameters.since: '2026-01-01' is read differently",
    ),
    "a number as a text": (job("owner: 42"), "4:14: error: jobs[0] 'tidy': owner: must be text: quote 42"),
    "a list as a text": (job("owner: [me]"), "4:14: error: jobs[0] 'tidy': owner: must be text, not a list"),
    "an empty text": (job('owner: ""'), "4:14: error: jobs[0] 'tidy': owner: must not be empty"),
    "an empty schedule key": (
        job("schedule:"),
        "4:16: error: jobs[0] 'tidy': schedule: must be text, not empty: write \"\" for manual only",
    ),
    "a text as a list": (
        job("tags: nightly"),
        "4:13: error: jobs[0] 'tidy': tags: must be a list, not 'nightly'",
    ),
    "a list as a mapping": (
        job("parameters: [a]"),
        "4:19: error: jobs[0] 'tidy': parameters: must be a mapping of keys to values, not a list",
    ),
    "a text as a number": (
        job('timeout_seconds: "60"'),
        "4:24: error: jobs[0] 'tidy': timeout_seconds: must be a number from 0.001 to",
    ),
    "a duration with a unit": (
        job("timeout_seconds: 5m"),
        "4:24: error: jobs[0] 'tidy': timeout_seconds: must be a number from 0.001 to",
    ),
    "a fraction for a whole number": (
        job("grace_seconds: 1.5"),
        "4:22: error: jobs[0] 'tidy': grace_seconds: must be a whole number from 0 to 31622400, not '1.5'",
    ),
    "true for a number": (
        job("priority: true"),
        "4:17: error: jobs[0] 'tidy': priority: must be a whole number from -1000 to 1000, not 'true'",
    ),
    "a negative duration": (
        job("grace_seconds: -1"),
        "4:22: error: jobs[0] 'tidy': grace_seconds: must be from 0 to 31622400, not -1",
    ),
    "a time-out of nothing": (
        job("timeout_seconds: 0"),
        "4:24: error: jobs[0] 'tidy': timeout_seconds: must be from 0.001",
    ),
    "an absurd number": (
        job("retry: {max_attempts: 1000000}"),
        "4:29: error: jobs[0] 'tidy': retry.max_attempts: must be from 1 to 1000, not 1000000",
    ),
    "a number with too many digits": (
        job("parameters: {n: 99999999999999999999}"),
        "4:23: error: jobs[0] 'tidy': parameters.n: '99999999999999999999' is read differently",
    ),
    "infinity": (
        job("timeout_seconds: .inf"),
        "4:24: error: jobs[0] 'tidy': timeout_seconds: must be a number",
    ),
    "a number beyond numbers": (
        job("timeout_seconds: 1e999"),
        "4:24: error: jobs[0] 'tidy': timeout_seconds: must be",
    ),
    "a shrinking pause": (
        job("retry: {backoff_factor: 0.5}"),
        "4:31: error: jobs[0] 'tidy': retry.backoff_factor: must be from 1 to 1000, not 0.5",
    ),
    "an unknown overlap": (
        job("overlap: skipp"),
        "4:16: error: jobs[0] 'tidy': overlap: must be skip, queue, replace or allow, not 'skipp'",
    ),
    "an unknown catch-up": (
        job("catch_up: newest"),
        "4:17: error: jobs[0] 'tidy': catch_up: must be none, latest or all, not 'newest'",
    ),
    "an unknown startup": (
        job("startup: always"),
        "4:16: error: jobs[0] 'tidy': startup: must be inherit or never, not 'always'",
    ),
    "an unknown gap rule": (
        job("dst: {gap: jump}"),
        "4:18: error: jobs[0] 'tidy': dst.gap: must be shift or skip",
    ),
    "an unknown reason to retry": (
        job("retry: {on: [timeot]}"),
        "4:20: error: jobs[0] 'tidy': retry.on: each item must be error, failure or timeout, not 'timeot'",
    ),
    "an unknown day rule": (
        "scheduler:\n  day_match: xor",
        "2:14: error: day_match: must be or or and, not 'xor'",
    ),
    "no runs at once": ("scheduler:\n  max_runs: 0", "2:13: error: max_runs: must be from 1 to 10000, not 0"),
    "a calendar": (
        job("calendar: bank"),
        "4:17: error: jobs[0] 'tidy': calendar: unknown calendar 'bank' (none is defined)",
    ),
    "a notice": (
        job("notify: [ops]"),
        "4:16: error: jobs[0] 'tidy': notify: unknown notice 'ops' (none is defined)",
    ),
    "a malformed reference": (
        job('parameters: {token: "${env:MY TOKEN}"}'),
        "4:27: error: jobs[0] 'tidy': parameters.token: a reference to a secret is written ${env:NAME}",
    ),
    "a malformed database reference": (
        'application: {database_url: "${env:}"}',
        "1:29: error: application.database_url: a reference to a secret is written ${env:NAME}",
    ),
    # --- names ---
    "an import path as an extension": (
        job('extension: "os:system"'),
        f"4:18: error: jobs[0] 'tidy': extension: 'os:system' {NAME_RULE}",
    ),
    "a path as a job": (job("job: ../x"), f"4:12: error: jobs[0] 'tidy': job: '../x' {NAME_RULE}"),
    "a dunder as a job": (
        job("job: __import__"),
        f"4:12: error: jobs[0] 'tidy': job: '__import__' {NAME_RULE}",
    ),
    "a capital in a name": (
        "scheduler:\n  jobs:\n    - name: Tidy\n",
        f"3:13: error: jobs[0] 'Tidy': name: 'Tidy' {NAME_RULE}",
    ),
    "a path as a module": (
        "scheduler:\n  extensions: [./jobs.py]",
        "2:16: error: extensions: each item must be module or module:object, not './jobs.py'",
    ),
    "a bootstrap job that is no name": (
        'scheduler:\n  bootstrap_jobs: ["a b"]',
        "2:20: error: bootstrap_jobs: each item must be a name or extension:job, not 'a b'",
    ),
    # --- schedules ---
    "five fields": (
        job('schedule: "*/30 * * * *"'),
        "4:17: error: jobs[0] 'tidy': schedule has 5 fields, 6 are needed (seconds first)",
    ),
    "seven fields": (
        job('schedule: "0 0 0 * * * *"'),
        "4:17: error: jobs[0] 'tidy': schedule has 7 fields, 6 are needed",
    ),
    "a second too many": (job('schedule: "60 * * * * *"'), "4:17: error: jobs[0] 'tidy': schedule: second"),
    "a date that never comes": (job('schedule: "0 0 0 30 2 *"'), "4:17: error: jobs[0] 'tidy': schedule: "),
    "a schedule that is prose": (job('schedule: "every hour"'), "4:17: error: jobs[0] 'tidy': schedule"),
    "an unknown zone": (
        job("timezone: Europe/Berln"),
        "4:17: error: jobs[0] 'tidy': timezone: unknown time zone 'Europe/Berln'",
    ),
    "an unknown zone for all": (
        "scheduler:\n  timezone: Mars",
        "2:13: error: timezone: unknown time zone 'Mars'",
    ),
    "a zone that is a path": (
        job("timezone: ../../etc/passwd"),
        "4:17: error: jobs[0] 'tidy': timezone: unknown time zone",
    ),
    # --- files ---
    "a missing include": (
        "includes:\n  - other.yaml\n",
        "2:5: error: includes 'other.yaml': no such file",
    ),
    "an include that is a folder": (
        "includes: ['.']",
        "1:12: error: includes '.': this is a directory, not a file",
    ),
    "an include of itself": (
        "includes: [config.yaml]",
        "1:12: error: includes go in a circle: config.yaml -> config.yaml",
    ),
    "an include that is a number": ("includes: [5]", "1:12: error: includes: must be a list of paths"),
    "includes that are a mapping": ("includes: {a: b}", "1:11: error: includes: must be a list of paths"),
    "an include with a NUL": ('includes: ["a\\0b"]', "1:12: error: control character U+0000 in a text"),
}


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_one_readable_line(case: str) -> None:
    text, expected = BAD[case]
    path = Path("config.yaml")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ConfigError) as refused:
        load(path, None)

    assert [f"config.yaml:{expected}"] == [each[: len(expected) + 12] for each in refused.value.problems][-1:]


def test_a_problem_shows_its_line_and_what_to_try() -> None:
    Path("config.yaml").write_text(job('schedule: "*/30 * * * *"'))

    with pytest.raises(ConfigError) as refused:
        load(Path("config.yaml"), None)

    assert [
        "config.yaml:4:17: error: jobs[0] 'tidy': schedule has 5 fields, 6 are needed (seconds first)",
        '    schedule: "*/30 * * * *"',
        '              ^ try "0 */30 * * * *"   (Every 30 minutes)',
    ] == refused.value.message.splitlines()


def test_an_unquoted_star_is_shown_in_quotes() -> None:
    Path("config.yaml").write_text(job("schedule: * * * * * *"))

    with pytest.raises(ConfigError) as refused:
        load(Path("config.yaml"), None)

    assert '              ^ try "* * * * * *"' == refused.value.problems[0].splitlines()[-1]


def test_all_problems_of_all_files_are_told_at_once() -> None:
    Path("a.yaml").write_text("includes: [b.yaml, c.yaml]\nscheduler: {enabled: yes}\n")
    Path("b.yaml").write_text(job("overlap: maybe", "enabled: maybe"))
    Path("profile.yaml").write_text("scheduler:\n  jobs:\n    - schedule: x y\n")

    with pytest.raises(ConfigError) as refused:
        load(Path("a.yaml"), Path("profile.yaml"))

    heads = [each.split(" error: ")[0] for each in refused.value.problems]

    assert [
        "a.yaml:1:20:",
        "a.yaml:2:22:",
        "b.yaml:4:16:",
        "b.yaml:5:16:",
        "profile.yaml:3:17:",
        "profile.yaml:3:7:",
    ] == sorted(set(heads))


def test_all_wrong_items_of_a_list_are_told_at_once() -> None:
    """Lists stopped at their first wrong item."""
    Path("a.yaml").write_text(
        """\
application: {mirrors: [on, {eu: off, us: fine}]}
scheduler:
  extensions: ["a b", fine, 5]
  calendars:
    a: {exclude: ["2026-02-30", x], blackout: [night, {from: "22:00", to: "06:00", days: [MUN, TUS]}]}
"""
    )
    with pytest.raises(ConfigError) as refused:
        load(Path("a.yaml"), None)

    assert [
        "1:25: error: application.mirrors: 'on'",
        "1:34: error: application.mirrors: 'off'",
        "3:16: error: extensions: each item must be module",
        "3:29: error: extensions: each item must be text:",
        "5:19: error: calendars.a: exclude: each item must be a date",
        "5:33: error: calendars.a: exclude: each item must be a date",
        "5:48: error: calendars.a: blackout: each item must be a mapping",
        "5:91: error: calendars.a: blackout: days: each item must be a weekday",
        "5:96: error: calendars.a: blackout: days: each item must be a weekday",
    ] == [
        " ".join(each.removeprefix("a.yaml:").split()[:length])
        for each, length in zip(refused.value.problems, (4, 4, 8, 8, 10, 10, 10, 11, 11), strict=True)
    ]


def test_a_circle_of_includes_is_refused_with_its_chain() -> None:
    Path("sub").mkdir()
    Path("a.yaml").write_text("includes: [sub/b.yaml]")
    Path("sub/b.yaml").write_text("includes: [../c.yaml]")
    Path("c.yaml").write_text("includes: [a.yaml]")

    with pytest.raises(ConfigError) as refused:
        load(Path("a.yaml"), None)

    (problem,) = refused.value.problems

    assert (
        "c.yaml:1:12: error: includes go in a circle: a.yaml -> sub/b.yaml -> c.yaml -> a.yaml"
        == (problem.splitlines()[0])
    )


def test_two_words_on_the_same_setting_are_refused_naming_both_places() -> None:
    Path("a.yaml").write_text("includes: [b.yaml]\nscheduler: {timezone: Europe/Berlin}\n")
    Path("b.yaml").write_text("scheduler:\n  timezone: UTC\n")

    with pytest.raises(ConfigError) as refused:
        load(Path("a.yaml"), None)

    (problem,) = refused.value.problems

    assert (
        "b.yaml:2:13: error: scheduler.timezone is already set to something else at a.yaml:2"
        == (problem.splitlines()[0])
    )


def test_a_file_that_everybody_may_write_is_refused() -> None:
    path = Path("config.yaml")
    path.write_text("scheduler: {}")
    path.chmod(0o666)

    with pytest.raises(ConfigError) as refused:
        load(path, None)

    assert "config.yaml:1:1: error: everybody may write this file" in refused.value.message


@pytest.mark.parametrize("path", ["missing.yaml", ".", "/dev/zero", "a\0b"])
def test_a_configuration_that_is_no_file_is_refused_and_named(path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(Path(path), None)

    assert ":1:1: error: " in refused.value.problems[0]


def test_a_hundred_problems_are_enough() -> None:
    Path("config.yaml").write_text("".join(f"key{number}: 1\n" for number in range(5000)))

    with pytest.raises(ConfigError) as refused:
        load(Path("config.yaml"), None)

    assert (101, "more problems are not shown: correct these first") == (
        len(refused.value.problems),
        refused.value.problems[-1],
    )


def test_nothing_in_a_file_reaches_the_terminal_as_a_command() -> None:
    Path("config.yaml").write_text('scheduler: {"\\e[31m\u202e": 1}')

    with pytest.raises(ConfigError) as refused:
        load(Path("config.yaml"), None)

    assert refused.value.message.replace("\n", "").isprintable()
