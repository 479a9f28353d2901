"""Every command and option says what it does, here and in the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from cronledger.cli.main import app
from tests.tidy.sources import ROOT


def commands(command: Any, path: str = "cronledger") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def visible() -> list[tuple[str, Any]]:
    return [(path, each) for path, each in commands(typer.main.get_command(app)) if not each.hidden]


def test_every_command_has_help() -> None:
    assert [] == [path for path, command in visible() if not (command.help or "").strip()]


def test_every_option_has_help() -> None:
    silent = [
        f"{path} {param.opts[0]}"
        for path, command in visible()
        for param in command.params
        if param.param_type_name == "option" and not param.hidden and not (param.help or "").strip()
    ]

    assert [] == silent


def test_every_command_stands_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text()
    missing = [
        path
        for path, command in visible()
        if path.split()[1:2] not in ([], ["jobs"], ["logs"])
        and f" `{path}`" not in reference
        and f" `{path} " not in reference
    ]

    assert [] == missing
