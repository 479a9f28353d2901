"""`python -m cronledger` is `cronledger`."""

from __future__ import annotations

import sys

from cronledger.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
