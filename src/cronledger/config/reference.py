"""Secrets by reference: `${env:NAME}` stays as it is in every definition and is looked up when it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cronledger.errors import ConfigError, UsageError

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_START = "${env:"
DEFAULT_DATABASE_URL = "sqlite:///cronledger.db"
DATABASE_VARIABLES = ["CRONLEDGER_DATABASE_URL", "DATABASE_URL"]
_PASSWORD_IN_URL = re.compile(
    r"(://(?:(?<!http://)(?<!https://)|(?![^\s:/\"]*:\d{1,5}[/?#]))[^\s:/\"]*:)"
    r"(?:(?!://)[^\s@])+(?:@[^\s@/?#\"'<>,;]*(?=@))*(@)",
    re.IGNORECASE,
)
"""A password may hold whatever a reader of URLs lets it: a `/`, or an `@` before the one that ends it.

A port with an `@` behind it looks the same, and is starred too unless it is of an address of the web.
"""
_SHORTEST = 4
"""A secret of fewer characters cannot be told from other text."""


class Secrets:
    """Looks references up when they are used, anew each time, and knows afterwards what must not be told.

    >>> secrets = Secrets({"HOOK": "https://chat/s3cret"})
    >>> secrets.reveal({"url": "${env:HOOK}", "tries": 3})
    {'url': 'https://chat/s3cret', 'tries': 3}
    >>> secrets.hide("no answer from https://chat/s3cret; postgresql://ann:pw@db/x refused")
    'no answer from ***; postgresql://ann:***@db/x refused'
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._told: frozenset[str] = frozenset()

    def reveal(self, value: Any) -> Any:
        """Return a value with every reference replaced: by that variable, or the file that NAME_FILE names.

        Raises ConfigError naming the variable, never its value, if that cannot be done.
        """
        match value:
            case str():
                return _REFERENCE.sub(self._secret, value)
            case dict():
                return {key: self.reveal(each) for key, each in value.items()}
            case list() | tuple():
                return [self.reveal(each) for each in value]
            case _:
                return value

    def revealing(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a view of values in which a key's references are replaced when that key is read.

        >>> view = Secrets({}).revealing({"sender": "me@example.org", "hook": "${env:NOT_SET_ANYWHERE}"})
        >>> view["sender"]
        'me@example.org'
        """
        return _Revealing(values, self.reveal)

    def hide(self, value: Any) -> Any:
        """Return a value in whose texts the secrets that were looked up, and passwords in URLs, are stars."""
        match value:
            case str():
                text = value
                for secret in sorted(self._told, key=len, reverse=True):
                    text = text.replace(secret, "***")
                return _PASSWORD_IN_URL.sub(r"\1***\2", text)
            case dict():
                return {self.hide(key): self.hide(each) for key, each in value.items()}
            case list() | tuple():
                return [self.hide(each) for each in value]
            case _:
                return value

    def _secret(self, found: re.Match[str]) -> str:
        value = _value(found[1], self._environ)
        if len(value) >= _SHORTEST:
            self._told |= {value}
        return value


class _Revealing(Mapping[str, Any]):
    """What is never asked for is never looked up: it need not be set where nobody uses it."""

    def __init__(self, values: Mapping[str, Any], reveal: Callable[[Any], Any]) -> None:
        self._values = values
        self._reveal = reveal

    def __getitem__(self, key: str) -> Any:
        return self._reveal(self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def is_well_formed(text: str) -> bool:
    """Whether every reference in a text is one that can be looked up.

    >>> is_well_formed("postgresql://app:${env:PASSWORD}@db/app"), is_well_formed("${env:PASS WORD}")
    (True, False)
    """
    return _START not in _REFERENCE.sub("", text)


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


def database_url(environ: Mapping[str, str]) -> str:
    """Return the ledger's address from the environment, or from the file that a `*_FILE` variable names.

    >>> database_url({"DATABASE_URL": "postgresql://db/app"})
    'postgresql://db/app'
    >>> database_url({})
    'sqlite:///cronledger.db'
    """
    for name in DATABASE_VARIABLES:
        value, file = environ.get(name), environ.get(f"{name}_FILE")
        if value and file:
            raise UsageError(f"both {name} and {name}_FILE are set", hint="unset one of them")
        if value:
            return value
        if file:
            return _secret(f"{name}_FILE", Path(file))
    return DEFAULT_DATABASE_URL


def _secret(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {file} cannot be read: {type(error).__name__}") from error
