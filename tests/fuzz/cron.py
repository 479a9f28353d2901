"""Any bytes give a cron expression or the one error, soon; the text of an expression means the same again.

    python tests/fuzz/cron.py -runs=200000 -max_len=200

Needs the extra `fuzz`. Other options are libFuzzer's, such as `-max_total_time=60`. Each input is read as
UTF-8, as Latin-1, and as a choice of the dialect's own tokens, which gets past the first field.
"""

from __future__ import annotations

import re
import sys
import time

import atheris

with atheris.instrument_imports(include=["cronledger.domain", "cronledger.errors"]):
    from cronledger.domain.cron import parse
    from cronledger.errors import InvalidCron

LIMIT_SECONDS = 0.005
TRIES = 10
TOKENS = (
    *(
        " ",
        " ",
        " ",
        "* ",
        "0 ",
        "? ",
        "*",
        "*/",
        "/",
        "-",
        ",",
        "+",
        "#",
        "L",
        "W",
        "LW",
        "?",
        "~",
        "@",
        ".",
        "\t",
    ),
    *map(str, range(32)),
    *("45", "58", "59", "60", "61", "90", "99", "007", "100", "2027"),
    *("MON", "FRI", "SUN", "sat", "JAN", "FEB", "DEC", "MONDAY", "Tues", "JANURAY", "H", "R", "O"),
    *(
        "every ",
        "at ",
        "cron(",
        ")",
        "TZ=UTC ",
        "@daily",
        "@every ",
        "5m",
        "1h30m",
        "9am",
        "09:30",
        "2026-12-24",
    ),
    *(
        "0 0 0 ",
        "* * * ",
        " # ",
        '"',
        "\\",
        "%",
        "\n",
        "\u2013",
        "\u0661",
        "/bin/true",
        "0 */5 ",
        " 31 4 ",
        " 29 2 ",
    ),
)


def seconds_of(text: str) -> float:
    """Return how long a refusal takes, with everything that is printed of it."""
    begun = time.perf_counter()
    try:
        parse(text)
    except InvalidCron as error:
        str(error)
    return time.perf_counter() - begun


def check(text: str) -> None:
    """Parse one text and hold it against the laws."""
    try:
        cron = parse(text)
    except InvalidCron as error:
        check_refusal(text, error)
    else:
        assert parse(str(cron)) == cron, f"{text!r} and {cron} differ"


def check_refusal(text: str, error: InvalidCron) -> None:
    """Look at what a person would be told, and how long it takes to tell it."""
    start, end = error.place
    shown = f"{error}{error.message}{error.hint}".replace("\n", "")
    assert shown.isprintable(), f"{text!r} is shown with what a terminal obeys"
    assert 0 <= start <= end <= len(text), f"{text!r}: {error.place} is not in it"
    for meant in re.findall('"(.*?)"', error.hint or ""):
        parse(meant)
    is_quick = any(seconds_of(text) < LIMIT_SECONDS for _ in range(TRIES))
    assert is_quick, f"{text!r} took {seconds_of(text):.4f} s"


def one_input(data: bytes) -> None:
    """Read the bytes in every way."""
    check(data.decode("utf-8", "surrogateescape"))
    check(data.decode("latin-1"))
    check("".join(TOKENS[byte % len(TOKENS)] for byte in data))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
