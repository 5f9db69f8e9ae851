"""Tests that an unsuitable machine is refused in one sentence."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from portal.config.settings import ROOT

SCRIPT = str(ROOT / ".ci" / "machine.py")
CHOICE = ROOT / ".ci" / "python"
ELSEWHERE = f"""
import platform, runpy, sys
{{}}
runpy.run_path({SCRIPT!r}, run_name="__main__")
"""


def on(facts: str) -> subprocess.CompletedProcess[str]:
    """Run the check on a machine with these facts."""
    command = [sys.executable, "-c", ELSEWHERE.format(facts)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_supported_machine_is_accepted() -> None:
    versions = ((3, 11, 0), (3, 12, 9), (3, 13, 1), (3, 14, 2))
    arm = "platform.machine = lambda: 'aarch64'; platform.libc_ver = lambda: ('glibc', '2.28')"
    for facts in (*(f"sys.version_info = {version}" for version in versions), arm):
        done = on(facts)
        assert (done.returncode, done.stderr) == (0, ""), facts


def test_any_other_machine_is_refused_with_a_reason() -> None:
    for facts, sentence in (
        ("sys.version_info = (3, 10, 9)", "The portal needs Python 3.11 to 3.14. This one is "),
        ("sys.version_info = (3, 15, 0)", "The portal needs Python 3.11 to 3.14. This one is "),
        ("platform.system = lambda: 'Darwin'", "The portal only runs on Linux."),
        ("platform.machine = lambda: 'riscv64'", "This processor is riscv64."),
        ("platform.libc_ver = lambda: ('', '')", "need glibc 2.28 or newer"),
        ("platform.libc_ver = lambda: ('musl', '1.2.5')", "need glibc 2.28 or newer"),
        ("platform.libc_ver = lambda: ('glibc', '2.9')", "need glibc 2.28 or newer"),
    ):
        done = on(facts)
        assert done.returncode == 1, facts
        assert sentence in done.stderr, facts
        assert done.stderr.count("\n") == 1, facts


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.11": 0, "python3.12": 0, "python3": 0}, "python3.12"),
        ({"python3.14": 127, "python3.13": 1, "python3.11": 0}, "python3.11"),
        ({"python3.10": 0, "python3.15": 0, "python3": 0}, "python3"),
        ({}, "python3"),
    ],
)
def test_the_newest_python_that_can_create_environments_is_used(
    tmp_path: Path, pythons: dict[str, int], taken: str
) -> None:
    for name, code in pythons.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
    done = subprocess.run(
        [CHOICE], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == (f"{taken}\n", "")


def test_all_files_name_the_same_python_versions() -> None:
    (low, high) = runpy.run_path(SCRIPT)["PYTHONS"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}"
    wheels = re.search(r"for python in ([\d. ]+);", (ROOT / ".ci" / "locks").read_text())
    assert wheels is not None
    assert wheels[1].split() == [f"3.{minor}" for minor in range(low[1], high[1] + 1)]
    assert f"Python {low[0]}.{low[1]} to {high[0]}.{high[1]}" in (ROOT / "README.md").read_text()
    tried = re.findall(r"python3\.(\d+)", CHOICE.read_text())
    assert tried == [str(minor) for minor in range(high[1], low[1] - 1, -1)]
