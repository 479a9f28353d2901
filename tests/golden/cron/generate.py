"""Writes transitions.json: fire times near jumps of the clock, decided by the oracle and not by the engine.

`python -m tests.golden.cron.generate` writes the file anew, byte for byte the same: nothing in it is drawn at
random, and the jumps, all before 2025, are history that the time zone database no longer changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.property.cron_oracle import SECOND, Oracle

PATH = Path(__file__).with_name("transitions.json")
COLUMNS = ["timezone", "expression", "gap", "fold", "from", "next", "the one after", "previous"]
RULES = list(product(("shift", "skip"), ("first", "second", "both")))
STARTS = [timedelta(seconds=seconds) for seconds in (-86_400, -3_600, -1_799, -1, 0, 1, 1_800, 5_400, 86_400)]

JUMPS = """
Africa/Cairo 1994-10-01T00:00:00Z 2024-04-25T22:00:00Z 2024-10-31T21:00:00Z
Africa/Casablanca 2011-07-30T23:00:00Z 2024-03-10T02:00:00Z 2024-04-14T02:00:00Z
Africa/Juba 1985-04-27T22:00:00Z 2000-01-15T10:00:00Z 2021-01-31T21:00:00Z
Africa/Monrovia 1972-01-07T00:44:30Z
Africa/Sao_Tome 2018-01-01T01:00:00Z 2019-01-01T01:00:00Z
Africa/Windhoek 1994-03-20T22:00:00Z 2017-04-02T00:00:00Z 2017-09-03T01:00:00Z
America/Asuncion 2024-03-24T03:00:00Z 2024-10-06T04:00:00Z
America/Caracas 2007-12-09T07:00:00Z 2016-05-01T07:00:00Z
America/Havana 1990-10-14T04:00:00Z 2024-03-10T05:00:00Z 2024-11-03T05:00:00Z
America/New_York 2024-03-10T07:00:00Z 2024-11-03T06:00:00Z
America/Nuuk 2023-03-26T01:00:00Z 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
America/Santiago 2024-04-07T03:00:00Z 2024-09-08T04:00:00Z
America/Sao_Paulo 2018-11-04T03:00:00Z 2019-02-17T02:00:00Z
America/Scoresbysund 1981-03-29T02:00:00Z 2023-10-29T01:00:00Z 2024-10-27T01:00:00Z
America/St_Johns 1988-04-03T03:31:00Z 1988-10-30T01:31:00Z 2024-11-03T04:30:00Z
America/Whitehorse 2019-11-03T09:00:00Z 2020-03-08T10:00:00Z
Antarctica/Casey 2022-03-12T13:00:00Z 2022-10-01T16:01:00Z 2023-03-08T16:00:00Z
Antarctica/Troll 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
Antarctica/Vostok 1994-01-31T17:00:00Z 1994-11-01T00:00:00Z 2023-12-17T19:00:00Z
Asia/Almaty 2004-03-27T20:00:00Z 2004-10-30T20:00:00Z 2024-02-29T18:00:00Z
Asia/Amman 2013-12-19T21:00:00Z 2021-10-28T22:00:00Z 2022-02-24T22:00:00Z
Asia/Beirut 2024-03-30T22:00:00Z 2024-10-26T21:00:00Z
Asia/Dhaka 2009-06-19T17:00:00Z 2009-12-31T17:00:00Z
Asia/Gaza 2022-03-26T22:00:00Z 2024-04-20T00:00:00Z 2024-10-25T23:00:00Z
Asia/Kathmandu 1985-12-31T18:30:00Z
Asia/Pyongyang 2015-08-14T15:00:00Z 2018-05-04T15:00:00Z
Asia/Singapore 1981-12-31T16:00:00Z
Asia/Tehran 1978-11-10T20:00:00Z 2022-03-21T20:30:00Z 2022-09-21T19:30:00Z
Asia/Thimphu 1987-09-30T18:30:00Z
Australia/Lord_Howe 1981-02-28T14:00:00Z 2024-04-06T15:00:00Z 2024-10-05T15:30:00Z
Australia/Sydney 2024-04-06T16:00:00Z 2024-10-05T16:00:00Z
Europe/Berlin 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
Europe/Dublin 1980-10-26T02:00:00Z 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
Europe/London 1980-10-26T02:00:00Z 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
Europe/Madrid 1977-09-24T23:00:00Z 2024-03-31T01:00:00Z 2024-10-27T01:00:00Z
Europe/Moscow 2010-10-30T23:00:00Z 2011-03-26T23:00:00Z 2014-10-25T22:00:00Z
Europe/Volgograd 2010-10-30T23:00:00Z 2018-10-27T23:00:00Z 2020-12-26T22:00:00Z
Pacific/Apia 2011-12-30T10:00:00Z 2020-09-26T14:00:00Z 2021-04-03T14:00:00Z
Pacific/Auckland 2024-04-06T14:00:00Z 2024-09-28T14:00:00Z
Pacific/Chatham 2024-04-06T14:00:00Z 2024-09-28T14:00:00Z
Pacific/Fakaofo 2011-12-30T11:00:00Z
Pacific/Kiritimati 1979-10-01T10:40:00Z 1994-12-31T10:00:00Z
Pacific/Kwajalein 1993-08-21T12:00:00Z
Pacific/Norfolk 2015-10-03T14:30:00Z 2024-04-06T15:00:00Z 2024-10-05T15:00:00Z
"""
"""A zone and instants at which its clock jumped."""

Case = list[str | None]


def main() -> None:
    """Write the file."""
    PATH.write_text(text_of(cases()), "utf-8")


def text_of(rows: Iterator[Case]) -> str:
    """Return the file's text: one case a line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f'{{\n "columns": {json.dumps(COLUMNS)},\n "cases": [\n{lines}\n ]\n}}\n'


def cases() -> Iterator[Case]:
    """Yield all cases in order."""
    for line in JUMPS.split("\n")[1:-1]:
        place, *turns = line.split()
        for turn in turns:
            yield from cases_near(place, datetime.fromisoformat(turn))


def cases_near(place: str, turn: datetime) -> Iterator[Case]:
    """Yield twenty cases for one jump: ten expressions, each from two starts, under rules in turn."""
    for number, text in enumerate(texts_for(place, turn)):
        is_interval = "*" in "".join(text.split()[:3])
        for repeat in range(2):
            rule = RULES[(2 * number + repeat + turn.month) % 6] if not is_interval else RULES[0]
            start = turn + STARTS[(number + 4 * repeat + turn.day) % len(STARTS)]
            yield case_of(place, text, rule, start)


def texts_for(place: str, turn: datetime) -> list[str]:
    """Return expressions that fire inside the gap or the fold, at its edges and all day long."""
    before, after = ((turn + delta).astimezone(ZoneInfo(place)) for delta in (-SECOND, timedelta(0)))
    readings = [before.replace(tzinfo=None) + SECOND, after.replace(tzinfo=None)]
    low, high = min(readings), max(readings)
    middle = low + (high - low) / 2
    hours = ",".join(sorted({str(low.hour), str(middle.hour), str(high.hour)}, key=int))
    first, last = low.hour, min(low.hour + 2, 23)
    return [
        f"0 {middle.minute} {middle.hour} * * *",
        f"0 {low.minute} {low.hour} * * *",
        f"59 {(high - SECOND).minute} {(high - SECOND).hour} * * *",
        f"{low.day} {low.minute},{middle.minute} {hours} * * *"
        if low.minute != middle.minute
        else f"7 3 {hours} * * *",
        f"0 0/20 {first}-{last} * * *" if first < last else "0 0/20 0-23 * * *",
        f"30 15,45 {hours} {low.day},{high.day} * *"
        if low.day != high.day
        else f"30 15,45 {hours} {low.day} * *",
        "0 0 * * * *",
        "0 */15 * * * *",
        f"0 */10 {middle.hour} * * *",
        f"0 30 */2 * * {low.isoweekday() % 7}",
    ]


def case_of(place: str, text: str, rule: tuple[str, str], start: datetime) -> Case:
    """Return a line of the file."""
    oracle = Oracle(text, place, *rule)
    following = oracle.first_after(start)
    found = [following, oracle.first_after(following), oracle.last_before(start)]
    shown = [at and at.astimezone(ZoneInfo(place)).isoformat() for at in found]
    return [place, text, *rule, start.astimezone(UTC).isoformat().replace("+00:00", "Z"), *shown]


if __name__ == "__main__":
    main()
