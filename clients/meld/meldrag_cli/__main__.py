"""`python -m meldrag_cli`, and the program `meld`."""

from __future__ import annotations

import sys

from meldrag_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
