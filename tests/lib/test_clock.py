"""The clock that goes on while the machine is suspended."""

import subprocess
import sys

from portal.config.settings import ROOT

DIFFERENCE = """
from time import monotonic
from portal.lib.clock import since_boot
print(since_boot() - monotonic())
"""


def test_it_counts_what_the_monotonic_clock_leaves_out() -> None:
    """In a time namespace, whose machine has been suspended for a thousand seconds."""
    asleep = ["unshare", "--time", "--fork", "--boottime", "1000"]
    command = [*asleep, sys.executable, "-c", DIFFERENCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 999
