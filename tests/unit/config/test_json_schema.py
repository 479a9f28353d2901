"""The schema for editors accepts what the program accepts, and knows what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger.config import fields
from cronledger.config.json_schema import DESCRIPTIONS, schema
from cronledger.config.load import load
from cronledger.errors import ConfigError
from tests.tidy.sources import ROOT
from tests.unit.config.json_schema import problems

EXAMPLES = [
    *sorted((ROOT / "tests" / "unit" / "config" / "data").glob("*.yaml")),
    *(
        path
        for path in sorted((ROOT / "examples").rglob("*.yaml"))
        if path.parent.name in ("config", "scheduler")
    ),
]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


def broken(document: Any, part: str | None = None) -> list[str]:
    whole = schema()
    return list(problems(document, whole["$defs"][part] if part else whole, whole))


def written(text: str) -> Any:
    return msgspec.to_builtins(msgspec.yaml.decode(text))  # an unquoted time is a text to most editors


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_is_accepted(path: Path) -> None:
    part = "profile" if path.name == "profile.yaml" else None

    assert [] == broken(written(path.read_text()), part)


def test_every_block_of_a_guide_is_accepted() -> None:
    found = []
    for guide in GUIDES:
        for block in re.findall(r"```yaml\n(.*?)```", guide.read_text(), re.DOTALL):
            document = written(block)
            if isinstance(document, dict) and document.keys() <= {"includes", "application", "scheduler"}:
                part = "profile" if "# profile" in block else None
                found += broken(document, part)

    assert [] == found


GOOD = {
    "includes": "more.yaml",
    "application": {"database_url": "postgresql://app:${env:P}@db/app", "sender": None, "nested": {"a": [1]}},
    "scheduler": {
        "enabled": True,
        "max_runs": 5,
        "drain_seconds": 2.5,
        "extensions": ["shop.jobs:app"],
        "bootstrap_jobs": ["core:tidy", "tidy"],
        "calendars": {
            "base": {"exclude": ["2026-12-24", "2026-12-25 .. 2027-01-01", "*-05-01"], "only": None},
            "bank": {
                "extend": "base",
                "weekdays": ["MON-FRI", "sun"],
                "blackout": [{"from": "22:00", "to": "06:00:30", "days": ["fri"]}],
            },
            "both": {"extend": ["base", "bank"]},
        },
        "queues": {"printer": {"max_concurrent": 1}},
        "defaults": {"retry": {"on": ["error"]}, "calendar": "bank"},
        "jobs": [
            {
                "name": "a",
                "every": "90s",
                "calendar": None,
                "timeout_seconds": None,
                "dst": {"gap": "skip"},
                "retry": None,
            },
            {"job": "b", "schedule": "", "parameters": {"anything": [None, 1.5]}, "overlap": "queue"},
        ],
    },
}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"schedular": {}}, "$.schedular is not known"),
    ({"scheduler": {"max_runs": 0}}, "$.scheduler.max_runs is out of range"),
    ({"scheduler": {"max_runs": True}}, "$.scheduler.max_runs is not integer"),
    ({"scheduler": {"enabled": "yes"}}, "$.scheduler.enabled is not boolean"),
    ({"scheduler": {"extensions": ["os system"]}}, "$.scheduler.extensions[0] does not match"),
    ({"scheduler": {"jobs": [{"schedule": ""}]}}, "$.scheduler.jobs[0] is nothing of what it may be"),
    ({"scheduler": {"jobs": [{"name": "A"}]}}, "$.scheduler.jobs[0].name does not match"),
    ({"scheduler": {"jobs": [{"name": "a", "overlap": "never"}]}}, "$.scheduler.jobs[0].overlap is none of"),
    (
        {"scheduler": {"jobs": [{"name": "a", "retry": {"max": 1}}]}},
        "$.scheduler.jobs[0].retry.max is not known",
    ),
    ({"scheduler": {"calendars": {"Bank": {}}}}, "$.scheduler.calendars.Bank is not known"),
    (
        {"scheduler": {"calendars": {"bank": {"exclude": ["24.12."]}}}},
        "$.scheduler.calendars.bank.exclude[0] does not match",
    ),
    (
        {"scheduler": {"calendars": {"bank": {"blackout": [{"from": "22:00"}]}}}},
        "$.scheduler.calendars.bank.blackout[0].to is missing",
    ),
    ({"scheduler": {"queues": {"printer": {}}}}, "$.scheduler.queues.printer.max_concurrent is missing"),
    ({"scheduler": {"jobs": {}}}, "$.scheduler.jobs is not"),
]


def test_a_full_configuration_is_accepted_by_both(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("scheduler:")
    (tmp_path / "config.yaml").write_bytes(msgspec.json.encode(GOOD))

    assert 2 == len(load(tmp_path / "config.yaml", None).jobs)
    assert [] == broken(GOOD)


@pytest.mark.parametrize(("document", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_what_it_refuses_the_program_refuses_too(
    document: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_bytes(msgspec.json.encode(document))

    assert any(found.startswith(problem) for found in broken(document))
    with pytest.raises(ConfigError):
        load(tmp_path / "config.yaml", None)


def test_every_key_is_known_to_it() -> None:
    defined = schema()["$defs"]

    assert fields.ENTRY == defined["entry"]["properties"].keys()
    assert fields.DEFAULTS == defined["defaults"]["properties"].keys()
    assert fields.CALENDAR.keys() == defined["calendar"]["properties"].keys()
    assert fields.SCHEDULER == schema()["properties"]["scheduler"]["properties"].keys()
    assert fields.PROFILE_SCHEDULER == defined["profile"]["properties"]["scheduler"]["properties"].keys()


def test_every_description_is_of_a_key() -> None:
    tables = (fields.CALENDAR, fields.QUEUE, fields.APPLICATION)
    known = (fields.ENTRY | fields.SCHEDULER).union(*tables)

    assert set() == DESCRIPTIONS.keys() - known
