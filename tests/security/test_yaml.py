"""Items 4 and 5: files and expressions that want to hurt end with one readable line, soon and small."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from cronledger.domain.cron import parse
from cronledger.errors import InvalidSchedule
from tests.cli_runner import run_cli

SECONDS, BYTES = 0.5, 50 * 1024 * 1024
PATIENCE = 4
"""How many times slower than the promise a loaded machine under a memory tracer may be."""

HEAD = "scheduler:\n  jobs:\n    - name: tidy\n      "
BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{now}: &{now} [{', '.join(['*' + before] * 10)}]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "aliases that multiply": (BILLION_LAUGHS, "(&) are not supported"),
    "an alias": (HEAD + "tags: &t [a]\n      owner: *t", "aliases (*) are not supported"),
    "a tag that constructs": (
        HEAD + "owner: !!python/object/apply:os.system [id]",
        "tags (!) are not supported",
    ),
    "a tag that imports": ("!!python/module:os {}", "tags (!) are not supported"),
    "6,000 brackets": ("[" * 6000, "nested deeper than 20 levels"),
    "6,000 closed brackets": ("[" * 6000 + "]" * 6000, "nested deeper than 20 levels"),
    "6,000 braces": ("{a: " * 6000, "nested deeper than 20 levels"),
    "6,000 indented keys": ("\n".join(" " * n + "a:" for n in range(600)), "nested deeper than 20 levels"),
    "a duplicate key": (HEAD + "enabled: true\n      enabled: false", "'enabled' stands twice"),
    "300 KiB": ("# " + "x" * 300 * 1024, "larger than 256 KiB"),
    "300 KiB in a text": (HEAD + "owner: '" + "x" * 300 * 1024 + "'", "larger than 256 KiB"),
    "a hundred thousand values": ("[" + "1," * 100_000 + "]", "more than 20000 values"),
    "no for a text": (HEAD + "owner: no", "quote no"),
    "an octal number": (HEAD + "owner: 010", "quote 010"),
    "a time in base sixty": (HEAD + "schedule: 12:30:00", "quote 12:30:00"),
    "unquoted stars": (HEAD + "schedule: * * * * * *", "an unquoted * begins a YAML alias"),
    "a huge number": (HEAD + "priority: " + "9" * 5000, "priority: must be"),
    "a huge exponent": (HEAD + "priority: 1e999999999", "priority: must be"),
    "an open quote": (HEAD + 'owner: "' + "x" * 100_000, "not valid YAML"),
    "a NUL": (HEAD + "owner: a\0b", "control character U+0000"),
}
CRON_BOMBS = [
    "*" * 100_000,
    "* " * 100_000,
    ",".join(["*"] * 50_000) + " * * * * *",
    ",".join(str(n % 60) for n in range(50_000)) + " * * * * *",
    "0-59/" + "9" * 10_000 + " * * * * *",
    "9" * 10_000 + " * * * * *",
    "0 0 0 30 2 *",
    "0 0 0 31 2,4,6,9,11 *",
    "0 0 0 29 2 MON#6",
    "*/0 * * * * *",
    "H(0-99999999) * * * * *",
    "0 0 0 " + "L-" * 10_000 + " * *",
    "@" + "e" * 100_000,
    "\0" * 1000,
]


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what the command needs: that is no doing of a file, and takes longer than the files do."""
    path = tmp_path_factory.mktemp("good") / "config.yaml"
    path.write_text("scheduler: {}")
    run_cli("--config", str(path), "config", "check")


@pytest.mark.parametrize(("content", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_ends_with_a_readable_line_for_each_problem(
    tmp_path: Path, content: str, expected: str
) -> None:
    """Item 4."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content.encode())
    tracemalloc.start()
    began = time.thread_time()  # what others do on this machine does not count
    result = run_cli("--config", str(path), "config", "check")
    took = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    problems = [line for line in result.stderr.splitlines() if "error: " in line]

    assert 5 == result.exit_code
    assert any(expected in line for line in problems)
    assert all(line.startswith(f"{path}:") and len(line) < 1000 for line in problems)
    assert 1 == len(problems) or "are not supported" in expected
    assert "Traceback" not in result.stderr
    assert took < SECONDS * PATIENCE
    assert peak < BYTES


@pytest.mark.parametrize("text", CRON_BOMBS, ids=lambda text: text[:20].replace("\0", "NUL"))
def test_a_cron_bomb_is_refused_at_once(text: str) -> None:
    """Item 5: refused at load, also a date that never comes."""
    took = []
    for _ in range(3):  # the first one may pay for what is filled once
        began = time.thread_time()
        with pytest.raises(InvalidSchedule) as refused:
            parse(text)
        took.append(time.thread_time() - began)

    assert min(took) < 0.05
    assert len(str(refused.value)) < 1000


def test_a_cron_bomb_in_a_file_is_refused_at_load(tmp_path: Path) -> None:
    """Item 5."""
    path = tmp_path / "config.yaml"
    path.write_text("scheduler:\n  jobs:\n    - {name: tidy, schedule: '0 0 0 30 2 *'}\n")
    result = run_cli("--config", str(path), "--app", "tests.cli_runner", "config", "check")

    assert 5 == result.exit_code
    assert "0 0 0 30 2 *" in result.stderr
