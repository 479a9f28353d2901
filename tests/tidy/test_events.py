"""Events live for ever: each has a stored sample and a place in the reference."""

from __future__ import annotations

import ast
import re

import msgspec
import pytest

from cronledger.domain.events import BODIES, Body
from tests.tidy.sources import PACKAGE, ROOT

FAMILY = re.compile(
    "attempt|body|clock|config|engine|feature|instance|job|leader|ledger|notice|run|step",
)
EVERY_EVENT = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())


@EVERY_EVENT
def test_an_event_has_a_stored_sample(body: type[Body]) -> None:
    samples = list((ROOT / "tests" / "golden" / "events").glob(f"{body.type}*"))

    assert [] != samples


@EVERY_EVENT
def test_an_event_stands_in_the_reference(body: type[Body]) -> None:
    headings = (ROOT / "docs" / "reference" / "events.md").read_text().splitlines()

    assert 1 == headings.count(f"### `{body.type}`")


@EVERY_EVENT
def test_every_field_of_an_event_has_a_default_so_that_an_erased_body_folds(body: type[Body]) -> None:
    required = [field.name for field in msgspec.structs.fields(body) if field.required]

    assert [] == required


@EVERY_EVENT
def test_a_tag_is_a_family_and_what_happened(body: type[Body]) -> None:
    family, _, what = body.type.partition(".")

    assert FAMILY.fullmatch(family)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", what)


def test_every_event_that_is_written_down_is_known() -> None:
    trees = [
        ast.parse((PACKAGE / "domain" / name).read_text()) for name in ("events.py", "cluster_events.py")
    ]
    written = {
        statement.value.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and ast.unparse(statement.target) == "type"
        and isinstance(statement.value, ast.Constant)
    }

    assert written - {"unrecognized"} == BODIES.keys()
