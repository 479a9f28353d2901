"""Which job in code each entry, override and bootstrap job means.

Every registered job is paired: with each entry that lists it, or with none, and then under a name of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from cronledger.config.model import JobEntry, Override, Settings
from cronledger.domain.ids import JobName, is_name
from cronledger.jobs.registry import Registered, Registry, is_built_in
from cronledger.strict_yaml.problem import Place, Problems, meant

Key = tuple[str, str]
"""A job in code: its extension and its name there."""


class Pair(msgspec.Struct, frozen=True):
    """A job's identity, its code, and the entry that lists it, if one does."""

    name: JobName
    code: Registered
    entry: JobEntry | None


def pairs(settings: Settings, registry: Registry, problems: Problems) -> list[Pair]:
    """Return the entries in the order of the files, then the registered jobs that have none."""
    listed = _listed(settings, registry, problems)
    return listed + _unlisted(settings, listed, registry, problems)


def overrides(settings: Settings, problems: Problems) -> dict[Key, list[Override]]:
    """Return the overrides of each job, those that pick an entry by its name last: they are stronger."""
    labels: dict[Key, list[str]] = defaultdict(list)
    for entry in settings.jobs:
        labels[entry.extension, entry.job].append(entry.name)
    known: dict[Key, list[Override]] = defaultdict(list)
    first: dict[tuple[str, str, str | None], Override] = {}
    for override in sorted(settings.overrides, key=lambda each: each.name is not None):
        key = (override.extension, override.job)
        earlier = first.setdefault((*key, override.name), override)
        if earlier is not override:
            problems.add(override.place, f"{override.title}already overridden at {earlier.place}")
        elif key not in labels or override.name not in (None, *labels[key]):
            _meets_nothing(override, labels, problems)
        else:
            known[key].append(override)
    return known


def bootstrap(settings: Settings, paired: list[Pair], problems: Problems) -> dict[JobName, Place]:
    """Return the jobs that `bootstrap_jobs` names, and where."""
    called: dict[str, list[JobName]] = defaultdict(list)
    for pair in paired:
        for name in (pair.code.name, f"{pair.code.extension}:{pair.code.name}"):
            called[name].append(pair.name)
    called |= {pair.name: [pair.name] for pair in paired}
    boot: dict[JobName, Place] = {}
    for wanted in settings.bootstrap_jobs:
        place = settings.places.get(f"bootstrap_jobs.{wanted}", somewhere(settings))
        found = called.get(wanted, [])
        if len(found) == 1:
            boot[found[0]] = place
        elif found:
            message = f"bootstrap_jobs: '{wanted}' may mean each of {', '.join(found)}"
            problems.add(place, message, "write the entry's name")
        else:
            names = [pair.name for pair in paired]
            there_are = f"(there are: {', '.join(names) or 'none'})"
            message = f"bootstrap_jobs: no entry and no registered job is called '{wanted}' {there_are}"
            problems.add(place, message, meant(wanted, names))
    return boot


def _listed(settings: Settings, registry: Registry, problems: Problems) -> list[Pair]:
    listed: list[Pair] = []
    first: dict[str, JobEntry] = {}
    for entry in settings.jobs:
        earlier = first.setdefault(entry.name, entry)
        if earlier is not entry:
            taken = f"this name is taken by the entry at {earlier.place_of('name', 'job')}"
            problems.add(
                entry.place_of("name", "job"), f"{entry.title}{taken}", "give each entry a `name` of its own"
            )
        code = registry.find(entry.extension, entry.job)
        if code is None:
            _not_provided(entry, registry, problems)
        elif earlier is entry:
            listed.append(Pair(JobName(entry.name), code, entry))
    return listed


def _not_provided(entry: JobEntry, registry: Registry, problems: Problems) -> None:
    extensions = registry.extensions()
    if entry.extension not in extensions:
        loaded = ", ".join(extensions) or "none"
        message = f"extension '{entry.extension}' is not loaded (loaded: {loaded})"
        hint = meant(entry.extension, extensions) or "name its module in scheduler.extensions or with --app"
        problems.add(entry.place_of("extension", "job", "name"), f"{entry.title}{message}", hint)
        return
    names = [registered.name for registered in extensions[entry.extension]]
    message = f"extension '{entry.extension}' has no job '{entry.job}' (it has {', '.join(names) or 'none'})"
    problems.add(entry.place_of("job", "name"), f"{entry.title}{message}", meant(entry.job, names))


def _meets_nothing(override: Override, labels: Mapping[Key, list[str]], problems: Problems) -> None:
    pair = f"{override.extension}:{override.job}"
    called = labels.get((override.extension, override.job))
    if called is None or override.name is None:
        candidates, word, field = [":".join(key) for key in labels], pair, "job"
        what = f"no entry of scheduler.jobs is for {pair}"
    else:
        candidates, word, field = called, override.name, "name"
        what = f"no entry for {pair} is called '{override.name}'"
    there_are = f"(there are: {', '.join(candidates) or 'none'})"
    problems.add(override.place_of(field), f"{override.title}{what} {there_are}", meant(word, candidates))


def _unlisted(settings: Settings, listed: list[Pair], registry: Registry, problems: Problems) -> list[Pair]:
    taken = {entry.name for entry in settings.jobs}
    have = {(pair.code.extension, pair.code.name) for pair in listed}
    unlisted: list[Pair] = []
    for code in sorted(
        registry.registered(), key=lambda each: is_built_in(each.job)
    ):  # names: ours come last
        if (code.extension, code.name) in have:
            continue
        name = code.name if code.name not in taken else f"{code.extension}-{code.name}"
        if name in taken or not is_name(name):
            what = (
                f"{code.extension}:{code.name} has no entry, and '{name}' is taken or too long to be its name"
            )
            problems.add(somewhere(settings), what, "give it an entry in scheduler.jobs")
            continue
        taken.add(name)
        unlisted.append(Pair(JobName(name), code, None))
    return unlisted


def somewhere(settings: Settings) -> Place:
    """Return a place for what no line of any file says."""
    return Place(settings.files[0] if settings.files else "configuration", 1, 1)
