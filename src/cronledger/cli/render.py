"""How an answer looks: a table for people, tab-separated columns for pipes, JSON and YAML for programs.

Data is data: whatever a job's name, message or error contains, it cannot move the cursor, change colours or
break a line of the output. Answers go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

import msgspec
import typer

from cronledger.cli.options import Output
from cronledger.errors import ConfigError, CronledgerError

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NO_MORE = "no fire time lies ahead"
_IDENTITY = ("run_id", "name", "position")
_MANY = ("jobs", "runs", "events", "instances", "projections", "logs", "checks", "results")
"""What a document is about that is about many."""
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_RED, _GREEN, _YELLOW, _CYAN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"
_COLOURS = {
    "succeeded": _GREEN,
    "running": _CYAN,
    "waiting": _CYAN,
    "partial": _YELLOW,
    "cancelled": _YELLOW,
    "skipped": _YELLOW,
    "failed": _RED,
    "timed_out": _RED,
    "lost": _RED,
    "ERROR": _RED,
    "WARN": _YELLOW,
}


def emit(
    ctx: typer.Context,
    document: object,
    *,
    columns: Sequence[str] | None = None,
    rows: Sequence[Mapping[str, object]] | None = None,
    text: str | None = None,
) -> None:
    """Print an answer in the form that was asked for.

    `rows` and `columns` are its table; where there are no rows, `text` stands for it, and where there is
    neither, the document's own fields, one a line.
    """
    output: Output = ctx.obj.output
    match output:
        case Output.JSON:
            print_json(document)
        case Output.JSONL:
            for line in _lines(document):
                print_json_line(line)
        case Output.YAML:
            # No other command should pay for loading it.
            from cronledger.strict_yaml.writing import written  # noqa: PLC0415

            _write(escaped(written(msgspec.to_builtins(document), quoted=_OBEYED).rstrip("\n")))
        case Output.NAME:
            for name in _names(document, rows):
                _write(clean(name))
        case Output.TABLE:
            _people(document, columns, rows, text)


def also(
    ctx: typer.Context, title: str, *, columns: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> None:
    """Print a further table of the same answer, for people; programs have it in the document."""
    if ctx.obj.output is Output.TABLE and rows:
        _write(f"\n{title}")
        _table(list(columns), rows, on_terminal=sys.stdout.isatty())


def print_json(document: object) -> None:
    """Print one JSON document, indented, its keys in the order given."""
    _write(escaped(msgspec.json.format(msgspec.json.encode(document), indent=2).decode()))


def print_json_line(document: object) -> None:
    """Print one JSON document as one line."""
    _write(escaped(msgspec.json.encode(document).decode()))


def print_line(text: str) -> None:
    """Print one line as it stands, but for what could move the cursor."""
    _write(clean(text))


def note(ctx: typer.Context, text: str) -> None:
    """Say something beside the answer, to a person: on standard error, and not to programs."""
    if ctx.obj.output is Output.TABLE:
        sys.stderr.write("\n".join(map(clean, text.splitlines())) + "\n")


def since(before: str | None, after: str | None) -> str:
    """Say at which schema a database was before it came to the one that it has.

    >>> since("0003", "0004"), since(None, "0004"), since("0004", "0004")
    (', was at 0003', ', had none', ' already')
    """
    if before == after:
        return " already"
    return f", was at {before}" if before else ", had none"


def fail(error: CronledgerError, output: Output) -> int:
    """Print an error where errors go, in the form of the output, and return its exit code."""
    if output is Output.JSON or output is Output.JSONL:
        facts = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stderr.write(escaped(msgspec.json.encode({"error": facts}).decode()) + "\n")
        return error.exit_code
    lines = str(error).splitlines()
    if not isinstance(error, ConfigError) or ": error: " not in str(error):
        lines[:1] = [f"cronledger: error: {lines[0] if lines else ''}"]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    sys.stderr.write("\n".join(clean(line) for line in lines) + "\n")
    return error.exit_code


def clean(text: str) -> str:
    r"""Show control characters instead of obeying them.

    >>> print(clean("tidy\x1b[31m\n"))
    tidy\x1b[31m\n
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped(document: str) -> str:
    r"""Return JSON, or YAML in quotes, with what a terminal might obey and those forms would let through.

    >>> print(escaped('{"name":"tidy\x9b1m"}'))
    {"name":"tidy\u009b1m"}
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def has_colour(stream: TextIO) -> bool:
    """Whether colours are wanted on a stream: NO_COLOR forbids, FORCE_COLOR demands, else a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


# --- for people -----------------------------------------------------------------------------------------


def _people(
    document: object,
    columns: Sequence[str] | None,
    rows: Sequence[Mapping[str, object]] | None,
    text: str | None,
) -> None:
    on_terminal = sys.stdout.isatty()
    if rows is not None and (rows or not on_terminal or text is None):
        names = list(columns) if columns else list(rows[0]) if rows else []
        _table(names, rows, on_terminal=on_terminal)
    elif text is not None:
        _write("\n".join(clean(line) for line in text.splitlines()))
    else:
        _card(msgspec.to_builtins(document), on_terminal=on_terminal)


def _table(columns: list[str], rows: Sequence[Mapping[str, object]], *, on_terminal: bool) -> None:
    cells = [[_cell(row.get(name), on_terminal=on_terminal) for name in columns] for row in rows]
    paint = _painted if has_colour(sys.stdout) else _plain
    if not on_terminal:
        for line in [columns, *cells]:
            _write("\t".join(paint(cell, cell) for cell in line))
        return
    heading = [name.upper().replace("_", " ") for name in columns]
    widths = [max(map(_width, column)) for column in zip(heading, *cells, strict=True)]
    room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * len(widths[:-1])
    for line in [heading, *cells]:
        filled = [cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
        filled[-1:] = [cut(line[-1], room)] if line else []
        text = "  ".join(paint(cell, shown) for cell, shown in zip(line, filled, strict=True)).rstrip()
        _write(f"{_BOLD}{text}{_PLAIN}" if line is heading and paint is _painted else text)


def _painted(cell: str, shown: str) -> str:
    return f"{_COLOURS[cell]}{shown}{_PLAIN}" if cell in _COLOURS else shown


def painted(line: str, *, on: bool) -> str:
    """Return a line whose first word has its colour, if that is wanted."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    return line.replace(word, _painted(word, word), 1) if on and word else line


def _plain(_cell: str, shown: str) -> str:
    return shown


def _card(document: Any, *, on_terminal: bool) -> None:
    if not isinstance(document, Mapping):
        _write(_cell(document, on_terminal=on_terminal))
        return
    width = max(map(len, document), default=0)
    for key, value in document.items():
        shown = _cell(value, on_terminal=on_terminal)
        _write(f"{key.ljust(width)}  {shown}".rstrip() if on_terminal else f"{key}\t{shown}")


def _cell(value: object, *, on_terminal: bool) -> str:
    match value:
        case None:
            return "-" if on_terminal else ""
        case bool():
            words = ("no", "yes") if on_terminal else ("false", "true")
            return words[value]
        case datetime():
            return str(msgspec.to_builtins(value))
        case dict():
            return clean(msgspec.json.encode(value).decode())
        case list() | tuple() | set() | frozenset():
            return ",".join(_cell(item, on_terminal=on_terminal) for item in value)
        case _:
            return clean(str(value))


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, room: int) -> str:
    """Return a text that takes no more columns than there is room for, unless there is next to none."""
    if room < 10 or _width(text) <= room:
        return text
    while _width(text) >= room:
        text = text[:-1]
    return text + "…"


# --- for programs ---------------------------------------------------------------------------------------


def _lines(document: object) -> Iterable[object]:
    """Return what has a line of its own: each of the many that a document is about, else the whole of it."""
    if not isinstance(document, Mapping) or any(isinstance(value, Mapping) for value in document.values()):
        return [document]
    return next((many for key in _MANY if isinstance(many := document.get(key), list | tuple)), [document])


def _names(document: object, rows: Sequence[Mapping[str, object]] | None) -> list[str]:
    """Return the name of each row, of the document if its rows are its fields, else the first column."""
    names = [_identity(row) for row in rows or ()]
    if rows and all(names):
        return [name for name in names if name]
    whole = _identity(document)
    if whole and rows != []:
        return [whole]
    return [str(next(iter(row.values()), "")) for row in rows or ()]


def _identity(thing: object) -> str | None:
    if not isinstance(thing, Mapping):
        return None
    keys = ("position",) if "stream" in thing else _IDENTITY  # an event may be of a run
    named = next((str(thing[key]) for key in keys if key in thing), None)
    first = next(iter(thing.values()), None)
    return named or (_identity(first) if isinstance(first, Mapping) else None)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
