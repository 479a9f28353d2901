"""docs/source-documents.md says where each part of the documents is executed; this keeps it true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs/source-documents.md"
NAME = re.compile(r"`(test_\w+)`")


def written_tests() -> set[str]:
    """Return the names of all tests in this folder."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in HERE.glob("test_*.py")]
    functions = (node for tree in trees for node in ast.walk(tree))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in functions if isinstance(node, kinds) and node.name.startswith("test_")}


def named_tests() -> set[str]:
    """Return the names that the table gives."""
    return set(NAME.findall(TABLE.read_text(encoding="utf-8")))


def test_every_test_that_the_table_names_exists() -> None:
    assert set() == named_tests() - written_tests()


def test_every_test_of_the_documents_stands_in_the_table() -> None:
    of_the_table = {name for name in written_tests() if "_the_table" in name}

    assert set() == written_tests() - of_the_table - named_tests()
