"""Secrets by reference: `${env:NAME}` stays as it is in every definition and is looked up when it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cronledger.errors import ConfigError

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_START = "${env:"


def is_well_formed(text: str) -> bool:
    """Whether every reference in a text is one that can be looked up.

    >>> is_well_formed("postgresql://app:${env:PASSWORD}@db/app"), is_well_formed("${env:PASS WORD}")
    (True, False)
    """
    return _START not in _REFERENCE.sub("", text)


def resolve_secret(text: str, environ: Mapping[str, str]) -> str:
    """Replace each `${env:NAME}` by that variable, or by the content of the file that NAME_FILE names.

    >>> resolve_secret("app:${env:PASSWORD}", {"PASSWORD": "s3cret"})
    'app:s3cret'

    Raises ConfigError naming the variable, never its value.
    """
    return _REFERENCE.sub(lambda found: _value(found[1], environ), text)


def _value(name: str, environ: Mapping[str, str]) -> str:
    if name in environ:
        return environ[name]
    path = environ.get(f"{name}_FILE")
    if path is None:
        raise ConfigError(
            [f"the environment variable {name} (or {name}_FILE) is not set, and the configuration needs it"]
        )
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError([f"the file that {name}_FILE names cannot be read: {reason}"]) from None
