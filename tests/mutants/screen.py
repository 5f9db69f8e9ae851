"""The screen: a mutant that mypy would see is none, since it never comes as far as a test."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.sample import Mutant
from tests.mutants.source import Module
from tests.mutants.trees import copied

CHECKED = ("portal", "jobs", "wsgi.py")


class Screen:
    """A mypy that stays, in a copy of its own; what it said is kept in a file."""

    def __init__(self, tree: Path, kept: Path) -> None:
        self._tree = tree
        self._kept = kept
        self._said: dict[str, bool] = json.loads(kept.read_text()) if kept.exists() else {}
        self._is_warm = False
        self._stamp = 0

    def passes(self, mutant: Mutant, module: Module) -> bool:
        """Whether its types are right."""
        text = mutant.text(module)
        key = hashlib.sha256(f"{mutant.path}\n{text}".encode()).hexdigest()[:16]
        if key not in self._said:
            self._said[key] = self._asked(mutant.path, text, module.text)
            self._kept.write_text(json.dumps(self._said))
        return self._said[key]

    def _asked(self, path: str, text: str, old: str) -> bool:
        if not self._is_warm:
            self._dmypy("start", "--")
            if not self._is_right():
                raise SystemExit("mypy is not content with the tree as it is.")
            self._is_warm = True
        self._put(path, text)
        try:
            return self._is_right()
        finally:
            self._put(path, old)

    def _put(self, path: str, text: str) -> None:
        file = self._tree / path
        file.write_text(text)
        # mypy tells a change by whole seconds and size: each text gets a second of its own.
        self._stamp += 1
        os.utime(file, (self._stamp, self._stamp))

    def _is_right(self) -> bool:
        return self._dmypy("check", *CHECKED) == 0

    def _dmypy(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "mypy.dmypy", "--status-file", "dmypy.json", *arguments]
        done = subprocess.run(
            command, cwd=self._tree, capture_output=True, timeout=300, check=False
        )
        return done.returncode

    def close(self) -> None:
        """End the mypy."""
        if self._is_warm:
            self._dmypy("stop")


@contextmanager
def screen(kept: Path) -> Iterator[Screen]:
    """A screen for a while."""
    with copied() as tree:
        made = Screen(tree, kept)
        try:
            yield made
        finally:
            made.close()
