"""Ten thousand Markdown files: reading and publishing them, and a second run that finds nothing to do.

Each file is an item of 1.4 kB with headings, lists, a table and links. The whole pipeline is performed, with
its steps and its ledger; the output is on the disk that holds temporary files, and as durable as a user's.
Processor time is told beside: on a busy disk the seconds are the disk's.

    PYTHONPATH=. python -m bench.publish [--files 10000] [--database sqlite]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.figures import Figure, Scale, Spread
from bench.places import Places, places
from cronledger.extensions.web.publish_pipeline import PublishPipeline
from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import Performed, perform_with_steps

CONFIG = "scheduler: {jobs: [{name: publish_pipeline, extension: web}]}\n"
FILES_A_FOLDER = 500
BODY = """# Page {number}

The first paragraph says what this page is about, with *emphasis*, `code` and [a link](/blog/p{other}/).

## Before you begin

- one thing that is needed
- another one, **in bold**
- and [a third](https://example.com/{number})

## What to do

1. Read this sentence, which is as long as sentences on such pages usually are.
2. Read it again.

| What | How much |
|:--|--:|
| Flour | {number} g |
| Water | {other} g |

### In detail

{filling}

## When it is done

> It has been worth it.

```python
print({number})
```
"""
FILLING = "There is more to say about it than fits into one line of a text file, and so it goes on. " * 6


class Taken(msgspec.Struct, frozen=True):
    """What one run took."""

    seconds: float
    processor_seconds: float
    steps_ms: dict[str, int]
    written: str


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the lines of row 22."""
    for count in scale.of((20,), (300,), (1_000, 10_000)):
        folder = places.subfolder()
        make_site(folder, count)
        for database in places.databases:
            yield from _published(places, folder, database, count)


def make_site(root: Path, count: int) -> None:
    """Write a site of so many items."""
    config = root / "services" / "config" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    for number in range(count):
        path = root / "services" / "content" / str(number // FILES_A_FOLDER) / f"p{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        front = (
            f"---\ntitle: Page {number}\nslug: p{number}\nkind: blog\n"
            f"published_at: 2026-01-{number % 28 + 1:02}\n"
            f"author: A. Writer\ndescription: What page {number} is about.\nkeywords: page\n---\n"
        )
        body = BODY.format(number=number, other=(number + 1) % count, filling=FILLING)
        path.write_text(front + body)


def _published(places: Places, root: Path, database: str, count: int) -> Iterator[Figure]:
    config = root / "services" / "config" / "config.yaml"
    config.write_text(f"application: {{site: {{output: dist-{database}}}}}\n{CONFIG}")
    url = places.fresh(database)
    engine = application_engine(url)
    application.upgrade(engine)
    for run in ("first", "second"):
        began, busy = time.perf_counter(), time.process_time()
        done = asyncio.run(perform_with_steps(PublishPipeline(), db=engine, config=config))
        took = _taken(done, time.perf_counter() - began, time.process_time() - busy)
        details = msgspec.to_builtins(took)
        name = f"{database}: publish so many files, {run} run"
        yield _figure(name, took.seconds, count, details)
        yield _figure(f"{name}, processor time", took.processor_seconds, count, {})
    engine.dispose()
    places.drop(url)


def _taken(done: Performed, seconds: float, processor_seconds: float) -> Taken:
    assert done.run.outcome == "succeeded", [step.error for step in done.steps]
    (pages,) = (step for step in done.steps if step.name == "page_prerender")
    steps = {step.name: step.duration_ms or 0 for step in done.steps}
    return Taken(seconds, processor_seconds, steps, str(pages.message))


def _figure(measure: str, value: float, count: int, details: dict[str, object]) -> Figure:
    return Figure(row=22, measure=measure, unit="s", ours=Spread.of([value]), n=count, details=details)


def main() -> None:
    """Read the options, measure, print."""
    options = argparse.ArgumentParser("python -m bench.publish")
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    chosen = options.parse_args()
    with places((chosen.database,)) as ledgers:
        folder = ledgers.subfolder()
        make_site(folder, chosen.files)
        for figure in _published(ledgers, folder, chosen.database, chosen.files):
            print(f"{figure.measure}: {figure.ours.median:.2f} {figure.unit}")
            for step, milliseconds in figure.details.get("steps_ms", {}).items():
                print(f"    {step}: {milliseconds} ms")


if __name__ == "__main__":
    main()
