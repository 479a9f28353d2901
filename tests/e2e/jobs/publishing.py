"""The publish pipeline in a process that is killed while it writes. Loaded with `--app`.

`KILL_AT` says when, as `rename:40` or `write:30`: instead of the fortieth move or the thirtieth new file.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from cronledger.extensions.site.folder import Folder

_what, _, _number = os.environ.get("KILL_AT", "never:0").partition(":")
_seen: Counter[str] = Counter()


def _counted(what: str, method: Callable[..., Any]) -> Any:
    def count_and_perhaps_die(*args: Any) -> Any:
        _seen[what] += 1
        if what == _what and _seen[what] == int(_number):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args)

    return count_and_perhaps_die


if _what != "never":
    Folder.rename = _counted("rename", Folder.rename)  # type: ignore[method-assign]
    Folder.write_new = _counted("write", Folder.write_new)  # type: ignore[method-assign]
