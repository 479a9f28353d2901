"""Writes the reference from the code, and the guide to policies from the cases that the tests play.

python docs/generate.py            write them
python docs/generate.py --check    exit 1 and name those that differ from what would be written
"""
# ruff: noqa: INP001, T201 - a script that prints

from __future__ import annotations

import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import typer

from cronledger import Job
from cronledger.cli.main import app
from cronledger.domain.calendar import Blackout, Calendar
from cronledger.domain.definition import Dst, JobDefinition
from cronledger.domain.events import BODIES, Body
from cronledger.domain.retry import Retry
from cronledger.extensions.blog import blog
from cronledger.extensions.core import core
from cronledger.extensions.web import web

DOCS = Path(__file__).parent
CASES = DOCS.parent / "tests" / "golden" / "policies"
POLICIES = (
    "overlap",
    "catch-up",
    "retry",
    "time-out",
    "recovery",
    "startup",
    "pause",
    "calendar",
    "clock-changes",
)
"""The order of the guide; each is a file of cases."""
STREAMS = {
    "job": ("job-NAME", "A job: its definition, and what was decided about its fire times"),
    "run": ("run-ID", "A run"),
    "step": ("run-ID", "The steps of a run"),
    "attempt": ("run-ID", "The attempts at a run"),
    "leader": ("leader", "Leadership"),
    "instance": ("instance-ID", "An instance"),
    "engine": ("instance-ID", "The engine of an instance"),
    "clock": ("instance-ID", "The clock of an instance's machine"),
    "config": ("config", "The configuration of the cluster"),
    "feature": ("config", "Features: ways of writing that every living instance knows"),
    "ledger": ("ledger", "The ledger itself"),
    "body": ("ledger", "Erased bodies"),
}
"""Which stream an event of a family stands in, and what the family is about."""

HEADER = (
    ("position", "ordinal in the ledger, from 1, without gaps"),
    ("id", "32 hexadecimal digits, given by whoever asked: milliseconds since 1970 (12 digits), then random"),
    ("stream", "the one thing that the event is about"),
    ("version", "ordinal in the stream, from 1"),
    ("type", "one of the types below"),
    ("schema", "number of the body's shape"),
    ("must_understand", "whether an instance that does not know the type must stop folding"),
    ("recorded_at", "the ledger's clock; never goes back"),
    ("instance", "the process that spoke"),
    ("term", "of the leader that decided, null where no leader was needed"),
    ("actor", "`kind` (`engine`, `operator`, `job`), `name`, and the `reason` they gave"),
    ("job", "null where it does not apply, as the four that follow"),
    ("run_id", "the run"),
    ("attempt", "the attempt, from 1"),
    ("fire_at", "the fire time of a scheduled run"),
    ("cause", "`schedule`, `startup`, `manual`, `backfill`, `retry` or `parent`"),
    ("body", "the particulars, below; null once erased"),
    ("salt", "16 bytes in hexadecimal; null once the body is erased"),
    ("commitment", "SHA-256 over salt and body"),
)

WORDS: dict[Any, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    datetime: "instant",
    type(None): "null",
    Any: "anything",
}


# --- events ---------------------------------------------------------------------------------------------


def events() -> str:
    """Describe every event this version writes."""
    return "\n".join([*_events_introduction(), *_families(), *_values()]) + "\n"


def _events_introduction() -> Iterator[str]:
    yield "# Events"
    yield ""
    yield "Generated from the code by `docs/generate.py`; `make reference` writes it anew."
    yield ""
    yield (
        "`cronledger ledger export` prints one event a line, with exactly these fields in this order. "
        "Instants are RFC 3339 in UTC. An exported prefix never changes, except that `body`, `salt` and "
        "`actor.reason` become null when a body is erased."
    )
    yield ""
    yield from _table(("field", "says"), [(f"`{name}`", text) for name, text in HEADER])
    yield ""
    yield (
        "Every field of a body has a default and is left out of the body while it has it. Nothing is ever "
        "renamed, retyped or removed; a type that a version does not know is folded past."
    )


def _families() -> Iterator[str]:
    families = dict.fromkeys(tag.partition(".")[0] for tag in BODIES)
    for family in families:
        stream, about = STREAMS[family]
        yield from ("", f"## {about}", "", f"Stream `{stream}`.")
        for tag, body in BODIES.items():
            if tag.startswith(family + "."):
                yield from _event(tag, body)


def _event(tag: str, body: type[Body]) -> Iterator[str]:
    yield from ("", f"### `{tag}`", "", _text(body))
    fields = list(_fields(body))
    if fields:
        yield ""
        yield from _table(("field", "type", "default"), fields)


def _values() -> Iterator[str]:
    for kind in (JobDefinition, Retry, Dst, Calendar, Blackout):
        yield from ("", f"## Value: {kind.__name__}", "", _text(kind), "")
        yield from _table(("field", "type", "default"), _fields(kind))


def _fields(kind: type[msgspec.Struct]) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        yield f"`{field.encode_name}`", said(hints[field.name]), _default(field)


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    if field.default is msgspec.NODEFAULT:
        return "(always there)"
    if isinstance(field.default, msgspec.Struct):
        return "its own"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def said(annotation: Any) -> str:
    """Put a type into words.

    >>> said(int | None), said(tuple[str, ...])
    ('number or null', 'list of text')
    """
    origin = typing.get_origin(annotation)
    if isinstance(annotation, typing.NewType):
        return said(annotation.__supertype__)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(said(part) for part in typing.get_args(annotation))
    if origin is tuple:
        return f"list of {said(typing.get_args(annotation)[0])}"
    if origin is dict:
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


# --- command line ---------------------------------------------------------------------------------------


def commands() -> str:
    """Describe every command and option of the command line."""
    root: Any = typer.main.get_command(app)
    return "\n".join([*_commands_introduction(root), *_group(root, "cronledger")]) + "\n"


def _commands_introduction(root: Any) -> Iterator[str]:
    yield "# Command line"
    yield ""
    yield "Generated from the code by `docs/generate.py`; `make reference` writes it anew."
    yield ""
    yield (
        "Exit codes: 0 ok; 1 the run, or one of them, failed; 2 usage; 3 not found; 4 refused (overlap, "
        "conflict); 5 configuration invalid; 6 ledger unreachable or schema not at head; 7 integrity "
        "broken; 124 `--timeout` passed; 130 interrupted."
    )
    yield ""
    yield "`cronledger jobs` and `cronledger logs` are `cronledger infra jobs` and `cronledger infra logs`."
    yield ""
    yield "## Options before the command"
    yield ""
    yield from _options(root)


def _group(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        here = f"{path} {name}"
        if getattr(command, "hidden", False) or here in ("cronledger jobs", "cronledger logs"):
            continue
        if hasattr(command, "commands"):
            yield from ("", f"## `{here}`", "", _help(command))
            yield from _group(command, here)
        else:
            yield from ("", f"### `{' '.join([here, *_arguments(command)])}`", "", _help(command))
            if any(_is_shown(option) for option in command.params):
                yield ""
                yield from _options(command)


def _arguments(command: Any) -> Iterator[str]:
    for param in command.params:
        if param.param_type_name == "argument":
            name = param.human_readable_name.upper()
            yield name if param.required else f"[{name}]"


def _is_shown(param: Any) -> bool:
    return param.param_type_name == "option" and not getattr(param, "hidden", False) and param.name != "help"


def _options(command: Any) -> Iterator[str]:
    rows = []
    for param in command.params:
        if _is_shown(param):
            names = ", ".join(f"`{name}`" for name in sorted([*param.opts, *param.secondary_opts], key=len))
            variable = param.envvar if isinstance(param.envvar, str) else ", ".join(param.envvar or ())
            rows.append(
                (names, _one_line(param.help) + _values_of(param), f"`{variable}`" if variable else "")
            )
    yield from _table(("option", "says", "environment"), rows)


def _values_of(param: Any) -> str:
    """Say which values an option takes, and which it has if nobody says."""
    choices = [str(getattr(each, "value", each)) for each in getattr(param.type, "choices", ())]
    one_of = f" One of {', '.join(f'`{each}`' for each in choices)}." if choices else ""
    default = getattr(param.default, "value", param.default)
    is_told = not (param.is_flag or default in (None, "", (), []) or callable(default))
    return one_of + (f" Default `{default}`." if is_told else "")


def _help(command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    return text.replace("\f", "").strip()


# --- built-in jobs --------------------------------------------------------------------------------------


def built_in_jobs() -> str:
    """Describe the jobs that come with the package."""
    lines = [
        "# Built-in jobs",
        "",
        "Generated from the code by `docs/generate.py`; `make reference` writes it anew.",
        "",
        (
            "A job does nothing until an entry under `scheduler.jobs` lists it, or it is run by hand. Its "
            "schedule is what it has if the entry does not say. All of them may be repeated (`idempotent`)."
        ),
    ]
    for extension in (core, blog, web):
        lines += ["", f"## `{extension.name}`"]
        for job in extension.jobs():
            lines += _job(job)
    return "\n".join(lines) + "\n"


def _job(job: Job) -> Iterator[str]:
    schedule = f"`{job.schedule}`" if job.schedule else "none: by hand, unless its entry has one"
    at_start = "; at start" if job.run_on_startup else ""
    yield from (
        "",
        f"### `{job.name}`",
        "",
        _one_line(job.description),
        "",
        f"Schedule: {schedule}{at_start}.",
    )
    if job.params is not None:
        yield from ("", _text(job.params))
        if fields := list(_fields(job.params)):
            yield ""
            yield from _table(("parameter", "type", "default"), fields)


# --- policies -------------------------------------------------------------------------------------------


def policies() -> str:
    """Show, case by case, what each policy does and what the ledger then says."""
    return (
        "\n".join([*_policies_introduction(), *(line for name in POLICIES for line in _cases(name))]) + "\n"
    )


def _policies_introduction() -> Iterator[str]:
    yield "# Policies, case by case"
    yield ""
    yield (
        "Every row is a test: the engine lives through the story, and the ledger must say what stands in the "
        "last column. The cases are in `tests/golden/policies`; `docs/generate.py` makes this page of them."
    )
    yield ""
    yield (
        "The job is due every minute, first at 12:01:00, unless a table says otherwise. A run is named by "
        "its fire time, or by its cause; a skip by its fire times, their number "
        "and the reason. What a row does not set has its default."
    )


def _cases(name: str) -> Iterator[str]:
    kept = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))
    yield from ("", f"## {kept['title']}", "", kept["about"], "")
    columns = ("situation", "settings", "what happens", "the ledger says")
    yield from _table(columns, (_row(case) for case in kept["cases"]))


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    settings = ", ".join(f"`{name}: {_yaml(value)}`" for name, value in case["settings"].items())
    events = "<br>".join(f"`{line}`" for line in case["ledger"]) or "nothing"
    return case["situation"], case.get("written", settings), case["happens"], events


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value).replace('"', "")


# --- text -----------------------------------------------------------------------------------------------


def _text(kind: type[Body | msgspec.Struct]) -> str:
    """Return a docstring as Markdown: its list of attributes becomes a list."""
    text, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:")
    lines = [text.strip()]
    for line in inspect.cleandoc(attributes).splitlines():
        if line.startswith(" "):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(f"- {line}")
    return lines[0] + ("\n\n" + "\n".join(lines[1:]) if len(lines) > 1 else "")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


PAGES: dict[str, Callable[[], str]] = {
    "reference/events.md": events,
    "reference/cli.md": commands,
    "reference/built-in-jobs.md": built_in_jobs,
    "guides/policies.md": policies,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or say which of them are out of date."""
    stale = []
    for name, generate in PAGES.items():
        path, text = DOCS / name, generate()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"docs/{name} is out of date: run `python docs/generate.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
