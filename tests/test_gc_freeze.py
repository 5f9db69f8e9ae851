"""Objects that live as long as the process are excluded from garbage collection."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from portal import gc_freeze
from tests.conftest import ENVIRONMENT
from tests.support.processes import ROOT

# Prints the oldest generation collected during startup, and the state of the collector after it.
WATCHED = """
import gc, json
looks = []
gc.callbacks.append(lambda phase, facts: looks.append(facts["generation"]))
{start}
print(json.dumps([max(looks, default=0), gc.isenabled(), gc.get_freeze_count() > 100_000]))
"""
STARTS = {"commands": "import wsgi", "web": "import runpy; runpy.run_path('gunicorn.conf.py')"}


def test_frozen_objects_are_never_collected() -> None:
    looks: list[str] = []
    gc.callbacks.append(lambda phase, facts: looks.append(phase))
    try:
        before = gc.get_freeze_count()
        with gc_freeze():
            kept = [[number] for number in range(100_000)]
        assert not looks
        assert gc.get_freeze_count() - before > len(kept)
        assert gc.isenabled()
    finally:
        gc.callbacks.pop()


def test_the_collector_is_enabled_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="wrong"), gc_freeze():
        raise ValueError("wrong")
    assert gc.isenabled()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_startup_objects_are_frozen(start: str, tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "LOCAL_TRIAL": "1"}
    command = [sys.executable, "-c", WATCHED.format(start=start)]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == [0, True, True], done.stderr
