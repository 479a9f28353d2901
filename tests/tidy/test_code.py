"""The size and shape of modules and functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tidy.sources import Function, Module, functions, modules

MODULE_LINES = 400
FUNCTION_LINES = 50
POSITIONAL = 4

UNTELLING = frozenset({"base", "common", "core", "helper", "helpers", "manager", "managers", "util", "utils"})
"""Module names that say nothing. `core` is a built-in extension, which is a folder below `extensions`."""

NOT_USED = frozenset({"aggregate", "execution", "node", "task", "worker"})
"""Words of other schedulers; the glossary has ours."""

BANNED_CALLS = {
    "datetime.now": "clock",
    "datetime.today": "clock",
    "datetime.utcnow": "clock",
    "date.today": "clock",
    "time.time": "clock",
    "time.time_ns": "clock",
    "time.sleep": "",
    "uuid.uuid1": "",
    "uuid.uuid4": "",
    "uuid4": "",
    "os.urandom": "entropy",
    "random.random": "entropy",
}
"""Calls, and the one module where each may stand."""

BROAD = {
    "cli.program_log._Lines.format": "a job may log what cannot be formatted",
    "engine.discretion._formatted": "a job may log what cannot be formatted",
    "engine.executor.Executor._run_code": "whatever a job raises ends its own run and nothing else",
    "engine.steps.Recorder.perform": "whatever a step raises is recorded, and raised unless the run goes on",
    "isolated._Through.emit": "any code may log what cannot be formatted",
    "isolated._Steps.perform": "whatever a step raises is recorded by the instance, and raised there",
    "isolated._ended": "whatever a job raises is told to the instance",
    "isolated.main": "importing a job's module runs its author's code; the run fails with its error",
    "jobs.isolation.obstacle": "pickling a job runs its author's code; the error is why it is refused",
    "jobs.calling._outcome": "what a job raises in a thread is carried to its caller and raised there",
    "jobs.pipeline._Progress._perform_beside": "what ends one step for good is raised when all have ended",
    "jobs.calling.kept_of": "a job's error may fail to say what it is made of",
    "jobs.calling.said": "a job's error may fail to say what it is",
    "jobs.discovery._loaded": "importing a job's module runs its author's code; the error names the module",
    "ledger.writer.Writer._answers": "what an append raises is its callers' answer; the thread outlives it",
    "submitting._perform": "what a call on another thread raises is carried to the one that awaits it",
    "background.beside.serve": "what ends the thread is carried to the one that waits",
}
"""The places that may catch everything, and why."""

EVERY_MODULE = pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


@EVERY_MODULE
def test_a_module_is_at_most_400_lines_long(module: Module) -> None:
    assert module.text.count("\n") <= MODULE_LINES


@EVERY_MODULE
def test_a_function_is_at_most_50_lines_long(module: Module) -> None:
    too_long = {
        str(place): length for place in functions(module) if (length := _lines(place.node)) > FUNCTION_LINES
    }

    assert {} == too_long


@EVERY_MODULE
def test_a_function_has_at_most_four_positional_parameters(module: Module) -> None:
    too_many = [str(place) for place in functions(module) if len(_positional(place.node)) > POSITIONAL]

    assert [] == too_many


@EVERY_MODULE
def test_a_module_has_a_name_that_says_something(module: Module) -> None:
    assert module.name.rpartition(".")[2] not in UNTELLING


@EVERY_MODULE
def test_a_module_begins_with_what_it_owns(module: Module) -> None:
    text = ast.get_docstring(module.tree) or ""
    imports = [node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]

    assert text != ""
    assert ["from __future__ import annotations"] == [
        ast.unparse(node) for node in imports[:1]
    ] or not imports


@EVERY_MODULE
def test_names_are_of_our_vocabulary(module: Module) -> None:
    foreign = {
        node.name
        for node in ast.walk(module.tree)
        if isinstance(node, Function | ast.ClassDef) and _words(node.name) & NOT_USED
    }

    assert set() == foreign


@EVERY_MODULE
def test_time_and_randomness_are_only_asked_for_at_home(module: Module) -> None:
    strays = {
        f"{call} in line {line}"
        for call, line in _calls(module.tree)
        for banned, home in BANNED_CALLS.items()
        if module.name != home and (call == banned or call.endswith(f".{banned}"))
    }

    assert set() == strays


@EVERY_MODULE
def test_everything_is_caught_only_round_a_jobs_own_code(module: Module) -> None:
    catching = {str(place) for place in functions(module) if _catches_everything(place.node)}

    assert set() == catching - BROAD.keys()


def test_every_place_that_may_catch_everything_still_does() -> None:
    catching = {
        str(place) for each in modules() for place in functions(each) if _catches_everything(place.node)
    }

    assert set() == BROAD.keys() - catching


@pytest.mark.parametrize(
    "module", [each for each in modules() if each.path.name == "__init__.py"], ids=lambda module: module.name
)
def test_a_package_is_introduced_by_text_and_re_exports_alone(module: Module) -> None:
    code = [
        f"line {node.lineno}"
        for node in module.tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom) and not _is_text(node) and not _is_all(node)
    ]

    assert ast.get_docstring(module.tree)
    assert [] == (code if module.name != "__init__" else []), "only the top package has lazy names"


# --- reading trees --------------------------------------------------------------------------------------


def _lines(node: Function) -> int:
    """Count the lines of a function's body without its docstring."""
    body = node.body[1:] if _is_text(node.body[0]) else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


def _positional(node: Function) -> list[str]:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return names[1:] if names and names[0] in ("self", "cls") else names


def _words(name: str) -> set[str]:
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def _catches_everything(node: Function) -> bool:
    """Whether a handler of this function itself is for everything and does not raise it again."""
    for child in _own(node):
        if isinstance(child, ast.ExceptHandler) and ast.unparse(child.body[-1]) != "raise":
            caught = child.type.elts if isinstance(child.type, ast.Tuple) else [child.type]
            if any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught):
                return True
    return False


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.ClassDef):
            yield child
            yield from _own(child)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
