"""The parameters of a run, which the ledger keeps as they are given or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cronledger.errors import UsageError
from cronledger.ledger.normal import normalised

MOST_PARAMETERS = 100
PARAMETER_BYTES = 32 * 1024
PARAMETER_NAME = re.compile(r"\w[\w.-]{0,63}")


def checked_parameters(parameters: Mapping[Any, Any]) -> dict[str, Any]:
    """Return parameters as the ledger keeps them, none of them shortened.

    Raises UsageError for one that cannot be kept as it is, and for too many or too large ones.
    """
    if not isinstance(parameters, Mapping):
        raise UsageError(
            f"the parameters are {normalised(parameters)!r}, which names none", hint="use a dict"
        )
    if len(parameters) > MOST_PARAMETERS:
        raise UsageError(f"a run takes no more than {MOST_PARAMETERS} parameters")
    for name in parameters:
        if not isinstance(name, str) or not PARAMETER_NAME.fullmatch(name):
            raise UsageError(
                f"{str(name)[:80]!r} is not the name of a parameter",
                hint="use up to 64 letters, digits, '_', '.' and '-', beginning with a letter, digit or '_'",
            )
    plain: dict[str, Any] = {}
    for name, value in parameters.items():
        try:
            plain[name] = normalised(value)
            is_kept = msgspec.json.encode(plain[name]) == msgspec.json.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            is_kept = False
        if not is_kept:
            raise UsageError(f"the value of parameter '{name}' cannot be kept", hint="use plain JSON values")
    if len(msgspec.json.encode(plain)) > PARAMETER_BYTES:
        raise UsageError(
            f"the parameters together are larger than {PARAMETER_BYTES // 1024} KiB",
            hint="put large things into a file, and give its name",
        )
    return plain
