"""The files of this repository, read once, for tests that read code instead of running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "cronledger"
FOLDERS = ("src", "tests", "docs", "examples", "bench", ".ci")
SUFFIXES = frozenset(
    {"", ".cfg", ".ini", ".json", ".jsonl", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".yaml"}
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(msgspec.Struct, frozen=True):
    """A module of the package: its name below `cronledger`, its text and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module


class Place(msgspec.Struct, frozen=True):
    """A function or method and where it stands."""

    module: Module
    qualified: str
    node: Function

    def __str__(self) -> str:
        return f"{self.module.name}.{self.qualified}"


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def functions(module: Module) -> Iterator[Place]:
    """Yield every function of a module, also those inside classes and functions."""
    yield from _functions(module, module.tree, "")


@cache
def text_files() -> tuple[Path, ...]:
    """Return every file that people write: those at the top, and those below the known folders."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return tuple(
        sorted(path for path in found if path.suffix in SUFFIXES and "__pycache__" not in path.parts)
    )


def relative(path: Path) -> str:
    """Name a file from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


def _read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return Module(".".join(parts), path, text, ast.parse(text))


def _functions(module: Module, node: ast.AST, prefix: str) -> Iterator[Place]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            qualified = f"{prefix}{child.name}"
            if isinstance(child, Function):
                yield Place(module, qualified, child)
            yield from _functions(module, child, f"{qualified}.")
        else:
            yield from _functions(module, child, prefix)
