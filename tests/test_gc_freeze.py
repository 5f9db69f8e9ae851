"""What lasts is never looked through by the collector."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from portal import gc_freeze
from tests.conftest import ENVIRONMENT
from tests.support.processes import ROOT

# Which generations the collector looked through while a process began, and how it was left.
WATCHED = """
import gc, json
looks = []
gc.callbacks.append(lambda phase, facts: looks.append(facts["generation"]))
{start}
print(json.dumps([max(looks, default=0), gc.isenabled(), gc.get_freeze_count() > 100_000]))
"""
STARTS = {"commands": "import wsgi", "web": "import runpy; runpy.run_path('gunicorn.conf.py')"}


def test_it_is_not_looked_through_meanwhile_nor_later() -> None:
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


def test_after_an_error_the_collector_goes_on() -> None:
    with pytest.raises(ValueError, match="wrong"), gc_freeze():
        raise ValueError("wrong")
    assert gc.isenabled()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_nothing_that_a_process_begins_with_is_looked_through(start: str, tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "LOCAL_TRIAL": "1"}
    command = [sys.executable, "-c", WATCHED.format(start=start)]
    told = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(told.stdout) == [0, True, True], told.stderr
