"""The preloaded shim that shifts one process's wall clock: compiled where there is a compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("clockshim.c")


def built(folder: Path) -> Path | None:
    """Compile the shim into a folder; None where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    target = folder / "clockshim.so"
    command = [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(target), str(SOURCE)]
    made = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return target if made.returncode == 0 else None


def shift(file: Path, seconds: float) -> None:
    """Let the wall clock of the process that maps the file be so many seconds ahead."""
    with file.open("r+b") as opened:
        opened.write(struct.pack("=q", int(seconds * 1e9)))
