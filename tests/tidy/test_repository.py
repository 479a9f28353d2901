"""What stands in files round the code: words, paths, the changelog, the gate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cronledger.domain.catchup import CatchUp
from cronledger.domain.events import Cause
from cronledger.domain.overlap import Overlap
from cronledger.domain.run import Outcome
from tests.tidy.sources import ROOT, relative, text_files

EVERY_FILE = pytest.mark.parametrize("path", text_files(), ids=relative)

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE = re.compile(r"(?<![\w.])/(wor" r"k|roo" r"t|hom" r"e|User" r"s)/\w")
RELEASE = re.compile(r"## \[(?:Unreleased|\d+\.\d+\.\d+)\](?: - \d{4}-\d{2}-\d{2})?")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
TERM = re.compile(r"^- \*\*([^*]+)\*\*: (.+)$", re.MULTILINE)


@EVERY_FILE
def test_nothing_is_left_for_later(path: Path) -> None:
    assert [] == UNFINISHED.findall(path.read_text(encoding="utf-8", errors="replace"))


@EVERY_FILE
def test_no_file_knows_the_machine_it_was_written_on(path: Path) -> None:
    assert [] == MACHINE.findall(path.read_text(encoding="utf-8", errors="replace"))


def test_the_changelog_keeps_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    kinds = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    entries = [line for line in lines if line.startswith("- ")]

    assert "# Changelog" == lines[0]
    assert "## [Unreleased]" == releases[0]
    assert [] == [line for line in releases if not RELEASE.fullmatch(line)]
    assert set() == set(kinds) - KINDS
    assert [] == [line for line in entries if not line.endswith(".")]


def test_the_glossary_says_each_word_once_in_one_sentence() -> None:
    entries = TERM.findall((ROOT / "docs" / "glossary.md").read_text())
    terms = [term for term, _ in entries]

    assert sorted(set(terms)) == sorted(terms)
    assert [] == [text for _, text in entries if not text.endswith(".")]


@pytest.mark.parametrize("kind", [Cause, CatchUp, Overlap, Outcome], ids=lambda kind: kind.__name__)
def test_the_glossary_knows_every_choice(kind: type[Cause | CatchUp | Overlap | Outcome]) -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()

    assert [] == [choice.value for choice in kind if choice.value.replace("_", " ") not in text]


def test_every_decision_is_listed_with_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE)
    found = [
        (path.read_text().partition("\n")[0].removeprefix("# "), path.name)
        for path in sorted(folder.glob("[0-9]*.md"))
    ]

    assert found == listed
    assert [f"{number:04d}" for number in range(1, len(found) + 1)] == [title[:4] for title, _ in found]


def test_the_constraints_are_names_and_versions_without_addresses() -> None:
    line = re.compile(r"[a-z0-9-]+==[\w.]+( ; .+)?")
    odd = [text for text in (ROOT / "constraints.txt").read_text().splitlines() if not line.fullmatch(text)]

    assert [] == odd


def test_the_first_commands_of_the_readme_install_and_test() -> None:
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("$ ")]

    assert 2 == len(commands)
    assert "pip install -q -c constraints.txt -e '.[dev]'" in commands[0]
    assert commands[1].startswith("$ .venv/bin/pytest")


def test_make_check_is_every_step_of_the_gate() -> None:
    gate = (ROOT / ".ci" / "gate").read_text()
    steps = re.findall(r"^(\w+)\(\) \{", gate, re.MULTILINE)
    check = re.search(r"^check: ([a-z ]+) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert check is not None
    assert [step.removesuffix("s") if step == "tests" else step for step in steps] == check[1].split()
