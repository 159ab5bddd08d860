"""A process that does nothing for a while and ends with a code of its own."""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    """Sleep as long as the environment says."""
    time.sleep(float(os.environ["SLEEPS_S"]))
    sys.exit(7)
