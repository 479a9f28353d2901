from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import (
    BODIES,
    Actor,
    AttemptFailed,
    Body,
    Cause,
    Event,
    JobPaused,
    JobRegistered,
    RunFailed,
    RunLateResult,
    RunSucceeded,
    RunTriggered,
    StepStarted,
    StepSucceeded,
    Unrecognized,
)
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerDamaged
from cronledger.ledger import codec
from cronledger.ledger.api import Item, Stored, Write
from cronledger.ledger.normal import BODY_BYTES, ERROR_BYTES, MESSAGE_BYTES
from tests.events import JOB, NOON, PLANNER, RUN, paused, plain, started, succeeded, triggered

GOLDEN = Path(__file__).parents[2] / "golden" / "events"
FIELDS = [
    "position", "id", "stream", "version", "type", "schema", "must_understand", "recorded_at", "instance",
    "term", "actor", "job", "run_id", "attempt", "fire_at", "cause", "body", "salt", "commitment",
]  # fmt: skip


def sealed_body(body: Body) -> str:
    return codec.seal(Event(body=body, actor=PLANNER), SeededEntropy(), bytes(6)).body


def again(body: Body) -> Body:
    return codec.decode(body.type, body.schema, sealed_body(body))


def stored(**changes: object) -> Stored:
    fields: dict[str, object] = {
        "position": 18, "id": bytes(range(16)), "stream": f"run-{RUN}", "version": 2, "type": "run.started",
        "schema": 1, "must_understand": False, "recorded_at": 1_767_236_400_019_342,
        "instance": "web-1.4242.b1f2", "term": 3, "actor": "engine:dispatcher", "job": JOB, "attempt": 1,
        "fire_at": 1_767_236_400_000_000, "cause": "schedule",
        "commitment": bytes(32), "salt": bytes(16), "body": "{}",
    }  # fmt: skip
    return Stored(**fields | changes)  # type: ignore[arg-type]


# --- sealing --------------------------------------------------------------------------------------------


def test_a_body_is_canonical_json_without_its_defaults() -> None:
    body = RunSucceeded(message="é", items_processed=3, duration_ms=12)

    assert '{"duration_ms":12,"items_processed":3,"message":"é"}' == sealed_body(body)
    assert "{}" == sealed_body(RunTriggered())


def test_keys_inside_a_body_are_sorted_too() -> None:
    assert '{"parameters":{"a":{"c":1,"d":2},"b":1}}' == sealed_body(
        RunTriggered(parameters={"b": 1, "a": {"d": 2, "c": 1}})
    )


def test_the_commitment_is_the_hash_of_salt_and_body() -> None:
    sealed = codec.seal(succeeded(), SeededEntropy(), bytes(6))

    assert sha256(sealed.salt + sealed.body.encode()).digest() == sealed.commitment
    assert (16, 16, 32) == (len(sealed.id), len(sealed.salt), len(sealed.commitment))
    assert sealed.id != sealed.salt


def test_ids_grow_with_the_time_they_were_made_at() -> None:
    """Side by side in their index: the milliseconds since 1970 in 48 bits, as in a UUID of version 7."""
    item, entropy = Item((plain("a"),)), SeededEntropy()
    instants = [NOON + timedelta(milliseconds=number) for number in range(50)]
    ids = [codec.prepared(item, entropy, at).sealed[0][0].id for at in instants]

    assert sorted(ids) == ids
    assert [(16, int(at.timestamp() * 1000)) for at in instants] == [
        (len(each), int.from_bytes(each[:6])) for each in ids
    ]
    assert len({each[6:] for each in ids}) == len(ids)


def test_every_event_of_an_item_gets_an_id_of_its_own() -> None:
    prepared = codec.prepared(Item((plain("a", 2), plain("b"), plain("c", 0))), SeededEntropy(), NOON)
    ids = [one.id for sealed in prepared.sealed for one in sealed]

    assert [2, 1, 0] == [len(sealed) for sealed in prepared.sealed]
    assert 3 == len(set(ids))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        (10**30, "1" + "0" * 30),
        (1 << 100_000, "<int of 100001 bits>"),
        ("a\0b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("x\udc00", "x\ufffd"),
        ({1: 2, None: 3, False: 4}, {"1": 2, "null": 3, "false": 4}),
        ({1.5: 5, (1,): 6}, {"1.5": 5, "<tuple>": 6}),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (object(), "<object>"),
        (b"ab", "YWI="),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (Cause.MANUAL, "manual"),
        (Actor.engine("x"), {"kind": "engine", "name": "x"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_of_any_kind_can_be_kept(given: object, kept: object) -> None:
    body = StepSucceeded(name="s", result=given)

    assert StepSucceeded(name="s", result=kept) == again(body)


def test_a_result_that_contains_itself_can_be_kept() -> None:
    knot: list[object] = []
    knot.extend([knot, knot])
    body = again(StepSucceeded(result=knot))

    assert isinstance(body, StepSucceeded)
    assert "truncated" in str(body.result)


def test_a_deep_result_ends_in_a_note() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    body = again(StepSucceeded(result=deep))

    assert isinstance(body, StepSucceeded)
    assert "<nested too deeply>" in str(body.result)


def test_a_long_message_is_shortened_in_its_middle_and_says_so() -> None:
    body = again(RunSucceeded(message="a" * 5000 + "é" * 5000))

    assert isinstance(body, RunSucceeded)
    assert body.message is not None
    assert len(body.message.encode()) <= MESSAGE_BYTES
    assert body.message.startswith("aaaa")
    assert body.message.endswith("éééé")
    assert "[15000 bytes, shortened to 4096]" in body.message


def test_an_error_keeps_sixteen_kibibytes() -> None:
    body = again(RunFailed(error="e" * 100_000))

    assert isinstance(body, RunFailed)
    assert body.error is not None
    assert ERROR_BYTES >= len(body.error.encode()) > ERROR_BYTES - 100


def test_no_body_that_a_job_fills_exceeds_its_limit() -> None:
    body = StepSucceeded(name="n" * 99_999, message="m" * 99_999, result=["r" * 1000] * 1000)

    assert len(sealed_body(body).encode()) <= BODY_BYTES


def test_a_count_fits_the_columns_of_a_database() -> None:
    body = again(RunSucceeded(items_processed=10**30, items_failed=-(10**30), message="x" * 5000))

    assert isinstance(body, RunSucceeded)
    assert (2**63 - 1, -(2**63 - 1)) == (body.items_processed, body.items_failed)


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63) - 1, 10**30])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (AttemptFailed, "duration_ms"),
        *product(
            (RunSucceeded, RunLateResult, StepSucceeded), ("duration_ms", "items_processed", "items_failed")
        ),
    ],
)
def test_each_number_of_a_job_alone_fits_the_columns_of_a_database(
    body: type[Body], field: str, number: int
) -> None:
    """One that did not was in the ledger for good, and no view could be brought up ever again."""
    kept = again(body(**{field: number}))

    assert 2**63 - 1 == abs(getattr(kept, field))


def test_parameters_of_a_definition_are_normalised() -> None:
    definition = JobDefinition(name=JOB, parameters={"a": float("inf"), "b": {1: 2}})
    body = again(JobRegistered(definition=definition))

    assert isinstance(body, JobRegistered)
    assert body.definition == msgspec.structs.replace(definition, parameters={"a": "Infinity", "b": {"1": 2}})


@pytest.mark.parametrize("reason", [404, True, 1.5, [], {}])
def test_a_body_that_nobody_could_read_again_is_refused(reason: Any) -> None:
    """One in the ledger would stop every reader for good."""
    with pytest.raises(LedgerDamaged, match=r"nobody could read this run.triggered again"):
        sealed_body(RunTriggered(reason=reason))


def test_an_ordinary_body_is_sealed_as_it_is() -> None:
    event = succeeded()

    assert event is codec.seal(event, SeededEntropy(), bytes(6)).event


def test_an_actor_of_strange_letters_stays_printable() -> None:
    assert r"operator:a\x00\ud800" == codec.actor_text(Actor.operator("a\0\ud800"))
    assert "operator:Ännchen" == codec.actor_text(Actor.operator("Ännchen"))


# --- waking ---------------------------------------------------------------------------------------------


def test_a_trigger_wakes_others_unless_it_is_claimed_at_once() -> None:
    stream = plain("a").stream

    assert codec.wakes(Item((Write(stream, (triggered(),)),)))
    assert not codec.wakes(Item((Write(stream, (triggered(), started())),)))
    assert not codec.wakes(Item((Write(stream, (triggered(),)), Write(stream, (started(),), 1))))


def test_decisions_and_ends_wake_others_and_steps_do_not() -> None:
    stream = plain("a").stream

    assert codec.wakes(Item((Write(stream, (paused(),)),)))
    assert codec.wakes(Item((Write(stream, (succeeded(),)),)))
    assert not codec.wakes(Item((plain("a"),)))
    assert BODIES.keys() >= codec.WAKING


# --- decoding -------------------------------------------------------------------------------------------


def test_an_unknown_type_is_folded_past_with_its_fields() -> None:
    assert Unrecognized(fields={"a": 1}) == codec.decode("run.dreamed", 1, '{"a":1}')
    assert Unrecognized() == codec.decode("run.dreamed", 1, None)
    assert Unrecognized(fields={"value": [1]}) == codec.decode("run.dreamed", 1, "[1]")


def test_a_newer_shape_is_not_guessed_at() -> None:
    assert Unrecognized(fields={"name": "x"}) == codec.decode("step.started", 99, '{"name":"x"}')


def test_an_erased_body_has_no_particulars() -> None:
    assert StepStarted() == codec.decode("step.started", 1, None)


def test_fields_that_a_later_version_added_are_left_out() -> None:
    assert StepStarted(name="x") == codec.decode("step.started", 1, '{"mood":"fine","name":"x"}')


def test_an_old_shape_is_lifted_step_by_step() -> None:
    def first(fields: dict[str, object]) -> tuple[str, int, dict[str, object]]:
        return "step.begun", 2, {"title": fields["t"]}

    def second(fields: dict[str, object]) -> tuple[str, int, dict[str, object]]:
        return "step.started", 1, {"name": fields["title"]}

    table = {("step.begun", 1): first, ("step.begun", 2): second}

    assert StepStarted(name="x") == codec.decode("step.begun", 1, '{"t":"x"}', upcasters=table)
    assert StepStarted(name="x") == codec.decode("step.begun", 2, '{"title":"x"}', upcasters=table)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "{"},
        {"type": "step.started", "body": '{"name":5}'},
        {"cause": "whim"},
        {"actor": "god:x"},
        {"recorded_at": -(2**63)},
        {"fire_at": 2**63 - 1},
    ],
)
def test_what_cannot_be_read_is_damage_at_its_position(changes: dict[str, object]) -> None:
    with pytest.raises(LedgerDamaged, match="position 18"):
        codec.recorded(stored(**changes))


def test_an_instant_that_no_calendar_has_is_not_exported() -> None:
    with pytest.raises(LedgerDamaged, match="no calendar has: 9223372036854775807"):
        codec.exported(stored(recorded_at=2**63 - 1))


def test_the_run_is_derived_from_the_stream() -> None:
    assert RUN == codec.recorded(stored()).run_id
    assert codec.recorded(stored(stream="job-tidy")).run_id is None


# --- exporting ------------------------------------------------------------------------------------------


def test_an_exported_line_has_exactly_the_fields_of_the_contract_in_their_order() -> None:
    line = codec.exported(stored())

    assert FIELDS == list(json.loads(line))
    assert b"\n" not in line
    assert (
        b'{"position":18,"id":"000102030405060708090a0b0c0d0e0f","stream":"run-tidy@20260101T120000Z","version":2,'
        b'"type":"run.started","schema":1,"must_understand":false,"recorded_at":"2026-01-01T03:00:00.019342Z",'
        b'"instance":"web-1.4242.b1f2","term":3,"actor":{"kind":"engine","name":"dispatcher","reason":null},'
        b'"job":"tidy","run_id":"tidy@20260101T120000Z","attempt":1,"fire_at":"2026-01-01T03:00:00Z",'
        b'"cause":"schedule","body":{},"salt":"' + b"00" * 16 + b'","commitment":"' + b"00" * 32 + b'"}'
    ) == line


def test_recorded_at_always_has_six_digits() -> None:
    line = json.loads(
        codec.exported(stored(recorded_at=1_767_236_400_000_000, fire_at=1_767_236_400_500_000))
    )

    assert "2026-01-01T03:00:00.000000Z" == line["recorded_at"]
    assert "2026-01-01T03:00:00.500000Z" == line["fire_at"]


def test_the_reason_of_an_operator_is_shown_beside_the_name() -> None:
    body = sealed_body(JobPaused(reason="holidays"))
    line = json.loads(codec.exported(stored(type="job.paused", actor="operator:ann:b", body=body)))
    engine = json.loads(codec.exported(stored(type="job.paused", body=body)))

    assert {"kind": "operator", "name": "ann:b", "reason": "holidays"} == line["actor"]
    assert {"reason": "holidays"} == line["body"]
    assert engine["actor"]["reason"] is None


def test_what_does_not_apply_is_null() -> None:
    line = json.loads(
        codec.exported(
            stored(
                stream="leader",
                job=None,
                attempt=None,
                fire_at=None,
                cause=None,
                term=None,
                salt=None,
                body=None,
            )
        )
    )
    empty = {key for key, value in line.items() if value is None}

    assert {"job", "run_id", "attempt", "fire_at", "cause", "term", "salt", "body"} == empty


# --- samples of every released tag ----------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_stored_sample_still_decodes(path: Path) -> None:
    sample = json.loads(path.read_bytes())
    text = json.dumps(sample["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body = codec.decode(sample["type"], sample["schema"], text)

    assert not isinstance(body, Unrecognized)
    assert sample["type"] == body.type
    assert text == codec.encode(body).decode()


def test_there_is_a_sample_of_every_tag() -> None:
    assert set(BODIES) == {json.loads(path.read_bytes())["type"] for path in GOLDEN.glob("*.json")}
