"""Every example in the documentation and in docstrings does what it says."""

from __future__ import annotations

import doctest
import importlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from cronledger.config.load import load
from cronledger.jobs.decorator import NOTES

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
MODULES = sorted(
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCES / "cronledger").rglob("*.py")
    if ">>>" in path.read_text()
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)]*)?\)")


def said(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(path.read_text()) if kind == language]


def commands() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for block in blocks(path, "console"):
            for line in block.splitlines():
                command = line.removeprefix("$ ").rpartition("&& ")[2].removeprefix(".venv/bin/")
                if command.startswith("cronledger "):
                    yield said(path), command


@pytest.fixture
def page_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Give the code of a page a module and an empty folder of its own."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "python")], ids=said)
def test_the_python_of_a_page_runs_from_top_to_bottom(path: Path, page_module: ModuleType) -> None:
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(path)
    document.namespace["__name__"] = page_module.__name__
    ran = 0
    for example in document.examples():
        example.evaluate()
        ran += 1

    assert len(blocks(path, "python")) == ran


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "yaml")], ids=said)
def test_the_configuration_of_a_page_loads(path: Path, tmp_path: Path) -> None:
    config, profile = tmp_path / "config.yaml", tmp_path / "profile.yaml"
    loaded = 0
    for example in Sybil(parsers=[CodeBlockParser("yaml", lambda _: None)]).parse(path).examples():
        target = profile if example.parsed.startswith("# profile") else config
        target.write_text(example.parsed)
        target.chmod(0o600)
        load(config if config.exists() else None, profile if profile.exists() else None)
        loaded += 1

    assert len(blocks(path, "yaml")) == loaded


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_a_command_of_a_page_exists(page: str, command: str) -> None:
    cli = importlib.import_module("cronledger.cli.main")
    here: Any = typer.main.get_command(cli.app)
    words = iter(shlex.split(command, comments=True)[1:])
    for word in words:
        if word.startswith("-"):
            option = next(
                (param for param in here.params if word in [*param.opts, *param.secondary_opts]), None
            )
            assert option is not None, f"{page}: {command}: no option {word}"
            if not option.is_flag:
                next(words)
        elif hasattr(here, "commands"):
            assert word in here.commands, f"{page}: {command}: no command {word}"
            here = here.commands[word]

    assert not hasattr(here, "commands")


@pytest.mark.parametrize("path", PAGES, ids=said)
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    targets = {target for target, _ in LINK.findall(path.read_text()) if "://" not in target}
    missing = sorted(target for target in targets if not (path.parent / target).exists())

    assert [] == missing


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said_wrong = io.StringIO()
    examples = 0
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        examples += len(test.examples)
        runner.run(test, out=said_wrong.write)
    vars(module).pop(NOTES, None)  # what the examples submit is nobody else's job

    assert "" == said_wrong.getvalue()
    assert examples > 0
