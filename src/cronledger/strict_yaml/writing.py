"""Plain values to YAML text. The only writer of YAML."""

from __future__ import annotations

import re
from typing import Any

import yaml


def written(document: object, *, quoted: re.Pattern[str]) -> str:
    """Return a document as YAML; a text in which the pattern occurs stands in double quotes, as in JSON.

    Only there can any letter be escaped; all other texts look as they do in YAML by itself.

    >>> print(written({"a": "Grüße", "b": "x!"}, quoted=re.compile("!")), end="")
    a: Grüße
    b: "x!"
    """
    dumper = type("Dumper", (getattr(yaml, "CSafeDumper", yaml.SafeDumper),), {})

    def represent(to: Any, text: str) -> Any:
        style = '"' if quoted.search(text) else None
        return to.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    yaml.add_representer(str, represent, Dumper=dumper)
    return str(yaml.dump(document, Dumper=dumper, allow_unicode=True, sort_keys=False))
