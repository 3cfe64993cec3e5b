"""Where things are, and how long anything may take."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / os.environ.get("OUT", "build")
SLUICE = OUT / "sluice"

UNDER_VALGRIND = os.environ.get("SLUICE_UNDER_VALGRIND") == "1"
SANITIZED = OUT.name in ("asan", "tsan")
COUNTED = OUT.name == "cov"  # lines and branches, into files that only who built them may write

# Timeouts in configurations are multiplied by this, so that a slow build has as much room as a fast one.
SCALE = float(os.environ.get("SLUICE_SCALE", 0)) or (10 if UNDER_VALGRIND else 3 if SANITIZED else 1)

# The longest that one step of a test may block. Nothing waits this long unless something is broken.
DEADLINE = 10.0 * SCALE


def ms(value):
    """A duration for a configuration, given room on slow builds."""
    return f"{int(value * SCALE)}ms"
