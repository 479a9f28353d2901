"""The parameters of an entry, as all layers together give them, against those that its job declares."""

from __future__ import annotations

from typing import Any

import msgspec

from cronledger.config.model import Fields, Settings, Written
from cronledger.config.pairing import Pair
from cronledger.config.reference import Secrets
from cronledger.domain.definition import Startup
from cronledger.errors import ConfigError
from cronledger.jobs.calling import said
from cronledger.jobs.parameters import misfits
from cronledger.strict_yaml.problem import Place, Problems, printable

_PREFIX = "parameters."


def check_parameters(
    settings: Settings,
    pair: Pair,
    fields: Fields,
    problems: Problems,
    *,
    startup: Startup,
    booted: Place | None,
) -> list[str]:
    """Note the parameters with which every run would fail; return what is said of those without effect.

    What is missing may be given to a run by hand: it is a problem only where runs come by themselves.
    `booted`: where `bootstrap_jobs` names the job, if it does.
    """
    declared, entry = pair.code.job.params, pair.entry
    if declared is None:
        return []
    place = entry.place_of("job", "name") if entry else booted
    if place is None:
        return []
    title = entry.title if entry else f"job '{pair.name}': "
    written = {key.removeprefix(_PREFIX): fields[key] for key in fields if key.startswith(_PREFIX)}
    known = {name: msgspec.UNSET if _refers(each.value) else each.value for name, each in written.items()}
    is_all = startup is not Startup.NEVER or ("schedule" in fields and fields["schedule"].value != "")
    advice: list[str] = []
    try:
        for misfit in misfits(declared, known, is_all=is_all):
            said_here = written.get(misfit.name, Written(None))
            if not misfit.is_harmless:
                problems.add(said_here.place or place, title + misfit.message, misfit.hint)
            elif said_here is not settings.defaults.get(_PREFIX + misfit.name):
                advice.append(printable(f"{said_here.origin}: {title}{misfit.message} ({misfit.hint})"))
    except _BROKEN as error:
        what = f"parameters: what {pair.code.extension}:{pair.code.name} declares cannot be read"
        problems.add(place, f"{title}{what}: {type(error).__name__}: {said(error)}")
    return advice


_BROKEN = (AttributeError, LookupError, NameError, TypeError, ValueError)
"""What somebody else's struct may raise: a type that its module does not have, a check of its own."""


def _refers(value: Any) -> bool:
    """Whether something in a value is looked up when a run begins: without any variables it cannot be."""
    try:
        Secrets({}).reveal(value)
    except ConfigError:
        return True
    return False
