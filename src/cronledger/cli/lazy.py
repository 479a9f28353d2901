"""Commands that are imported when they are called: help, completion and `version` stay fast.

A group knows names, one line of help and where each command is written. Whoever looks into `commands` gets
the real ones; the list that `--help` prints needs only the lines.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from cronledger.cli.options import Output

_ABOUT_COMPLETION = ("install_completion", "show_completion")
"""Options that every group brings along and that would only work on the program itself."""


class Late(TyperGroup):
    """A group whose commands are imported when one of them is asked for; `group_of` says from where."""

    places: ClassVar[Mapping[str, str]] = {}

    @property
    def commands(self) -> Any:
        """Every command, imported."""
        return {name: self._real(name) for name in self._outlines}

    @commands.setter
    def commands(self, outlines: Any) -> None:
        self._outlines: dict[str, Any] = outlines
        self._imported: dict[str, Any] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the shape of the method is given
        """Return the names of the commands."""
        return list(self._outlines)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        """Return what help shows of a command."""
        return self._outlines.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, imported."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, self._real(name) if name else None, rest

    def _real(self, name: str) -> Any:
        if name not in self._imported:
            place = self.places.get(name)
            command = _from(name, place) if place else self._outlines[name]
            _complete(command)
            self._imported[name] = command
        return self._imported[name]


def group_of(places: Mapping[str, str]) -> type[TyperGroup]:
    """Return a kind of group whose commands stand at `places`: name to `module:object`."""
    return type("Late", (Late,), {"places": places})


def outline(group: typer.Typer, **commands: str) -> None:
    """Give a group the names of its commands and one line of help for each."""
    for name, text in commands.items():
        group.command(name, help=text)(lambda: None)


def _from(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    command: Any = typer.main.get_command(getattr(importlib.import_module(module), attribute))
    command.name = name
    return command


def _complete(command: Any) -> None:
    """Let `-o` and `--json` stand after a command too, and print its help plainly."""
    command.rich_markup_mode = None
    command.params = [param for param in command.params if param.name not in _ABOUT_COMPLETION]
    if isinstance(command, Late):
        return
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            _complete(inner)
        return
    known = {name for param in command.params for name in param.opts}
    command.params += [param for param in _output_options() if not known.intersection(param.opts)]


def _output_options() -> list[Any]:
    probe = typer.Typer(add_completion=False)
    probe.command()(_output)
    options: list[Any] = [param for param in typer.main.get_command(probe).params if param.name != "ctx"]
    for option in options:
        option.expose_value = False
    return options


def choose_output(ctx: typer.Context, value: Output | None) -> None:
    """Note the form in which the answer is wanted."""
    if value is not None:
        ctx.obj.output = value


def choose_json(ctx: typer.Context, value: bool) -> None:
    """Note that the answer is wanted as JSON."""
    if value:
        ctx.obj.output = Output.JSON


def _output(
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", callback=choose_output, help="How to print the answer."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", callback=choose_json, help="The same as -o json.")] = False,
) -> None:
    """Stand in for a command whose options are taken."""
