"""Whatever stands in a file: settings, or one error, at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cronledger.config.load import load
from cronledger.config.resolve import resolve
from cronledger.errors import ConfigError
from cronledger.jobs.registry import Registry

SOURCE = (Path(__file__).parent / "data" / "config-of-001.yaml").read_bytes()
RICH = b"""
includes: []
application: {database_url: "${env:DB}", a: [1, 2.5, {b: null}]}
scheduler:
  enabled: true
  timezone: Europe/Berlin
  day_match: and
  extensions: [a.b:c]
  bootstrap_jobs: [x]
  defaults: {retry: {max_attempts: 2, on: [error]}, dst: {gap: skip}}
  jobs:
    - name: x
      schedule: "0 0 3 * * *"
      timeout_seconds: 1.5
      tags: [a]
      parameters: {n: 1}
"""
PIECES = [
    b"*", b"&a ", b"*a", b"!!x ", b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"\t", b'"', b"'", b"#", b"|",
    b">", b"? ", b"<<: ", b"~", b"yes", b"010", b"12:30:00", b"1e999", b".inf", b"-", b"\x00", b"\xff",
    b"\xc2\x85", b"\xe2\x80\xa8", b"---\n", b"...\n", b"%YAML 1.1\n", b"\\u0000", b"jobs", b"scheduler",
    b"2026-01-01", b"@", b"`",
]  # fmt: skip
BOMBS = {
    "brackets": b"[" * 250_000,
    "braces": b"{" * 250_000,
    "dashes": b"- " * 120_000,
    "questions": b"? " * 120_000,
    "keys": b"\n".join(b"k%d: 1" % number for number in range(19_000)),
    "unknown keys": b"scheduler:\n" + b"\n".join(b"  scheduled%d: 1" % number for number in range(9_000)),
    "jobs without anything": b"scheduler: {jobs: [" + b"{name: a}," * 5_000 + b"]}",
    "one long key": b"scheduler: {" + b"schedule" * 30_000 + b": 1}",
    "one long schedule": b"scheduler: {jobs: [{name: a, schedule: '" + b"1," * 120_000 + b"1 * * * * *'}]}",
    "unknown zones": b"scheduler: {jobs: ["
    + b",".join(b"{name: a%d, timezone: Zone/Z%d}" % (n, n) for n in range(4_000))
    + b"]}",
    "one long name": b"scheduler: {jobs: [{name: " + b"a" * 250_000 + b"}]}",
    "many digits": b"scheduler: {max_runs: " + b"9" * 250_000 + b"}",
    "blank lines": b"\n" * 250_000,
    "escapes": b'a: "' + b"\\x41" * 60_000 + b'"',
    "laughs": b"a: &a [x]\n"
    + b"".join(b"%c: &%c [*%c,*%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 123)),
}


def outcome(data: bytes, folder: Path) -> str:
    """Load bytes as a configuration and as a profile."""
    path = folder / "config.yaml"
    path.write_bytes(data)
    path.chmod(0o600)
    problems = []
    for config, profile in ((path, None), (None, path)):
        try:
            resolve(load(config, profile), Registry())
        except ConfigError as error:
            problems += error.problems
    assert all(problem.replace("\n", "").isprintable() for problem in problems)
    return "\n".join(problems)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


ANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@ANY
@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf")
@example(b"a: !<tag:yaml.org,2002:binary> x")
def test_any_bytes_are_settings_or_a_configuration_error(folder: Path, data: bytes) -> None:
    outcome(data, folder)


@ANY
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_settings_or_a_configuration_error(folder: Path, text: str) -> None:
    outcome(text.encode(), folder)


@ANY
@given(
    st.sampled_from([SOURCE, RICH]),
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=4
    ),
)
def test_any_mutation_of_a_valid_file_is_settings_or_a_configuration_error(
    folder: Path, data: bytes, cuts: list[tuple[int, int, bytes]]
) -> None:
    for start, length, piece in cuts:
        at = start % (len(data) + 1)
        data = data[:at] + piece + data[at + length :]

    outcome(data, folder)


@ANY
@given(
    st.recursive(
        st.sampled_from(PIECES), lambda inner: st.lists(inner, max_size=6).map(b" ".join), max_leaves=30
    )
)
def test_any_pieces_of_yaml_are_settings_or_a_configuration_error(folder: Path, data: bytes) -> None:
    outcome(b"scheduler:\n  jobs:\n    - " + data, folder)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_made_to_be_slow_is_refused_at_once(folder: Path, bomb: str) -> None:
    before = os.times().user
    started = time.perf_counter()

    problems = outcome(BOMBS[bomb], folder)

    assert bomb == "blank lines" or problems
    assert 0.5 > min(os.times().user - before, time.perf_counter() - started) / 2
