"""Which tests reach a place, as recorded once from a run of all tests, and which of them to ask."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from tests.mutants.reach.mentions import MODELS, Mentions
from tests.mutants.source import function_of, is_in_function
from tests.mutants.trials.trial_plugin import needs_postgres

LEAST: Final = 0.05  # seconds that a test costs in any case
OPENED: Final = 0.3  # seconds that its file costs
# What sees faults of every subject.
NETS: Final = frozenset({"golden_pages", "golden_rows", "limits", "rivals"})
# Whose tests build on each other: one that is asked alone is red, mutant or not.
IN_STEPS: Final = frozenset({"tests/browser/test_first_run.py"})


@dataclass(slots=True)
class Test:
    """A test as it was recorded. `reached` has a bit for each place."""

    name: str
    seconds: float
    is_green: bool
    reached: int

    @property
    def file(self) -> str:
        """Its file, from the root."""
        return self.name.partition("::")[0]

    @property
    def function(self) -> str:
        """Its name without the parameters."""
        return self.name.partition("[")[0]


@dataclass
class Reach:
    """Everything that was recorded. `files`: the fingerprint of each test file at that time."""

    places: dict[str, int] = field(default_factory=dict)
    tests: dict[str, Test] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    imported: int = 0

    def add(self, places: list[str], lines: Iterable[str]) -> None:
        """Take in what a run of the recorder wrote, whose bits count through `places`."""
        numbers = [self.places.setdefault(place, len(self.places)) for place in places]
        for line in lines:
            told = json.loads(line)
            bits = _moved(int(told["reached"], 16), numbers)
            if not told["id"]:
                self.imported |= bits
                continue
            is_green = told["outcome"] == "passed"
            self.tests[told["id"]] = Test(told["id"], told["seconds"], is_green, bits)

    def forget(self, file: str) -> None:
        """Forget the tests of a file."""
        self.tests = {name: test for name, test in self.tests.items() if test.file != file}

    def save(self, path: Path) -> None:
        """Write everything down."""
        tests = [(t.name, t.seconds, t.is_green, f"{t.reached:x}") for t in self.tests.values()]
        kept = {"places": list(self.places), "tests": tests, "files": self.files}
        path.write_text(json.dumps(kept | {"imported": f"{self.imported:x}"}))

    @classmethod
    def read(cls, path: Path) -> "Reach":
        """What was written down; nothing when there is none."""
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        tests = [Test(name, s, green, int(bits, 16)) for name, s, green, bits in kept["tests"]]
        places = {place: number for number, place in enumerate(kept["places"])}
        named = {test.name: test for test in tests}
        return cls(places, named, kept["files"], int(kept["imported"], 16))

    @cached_property
    def _of_functions(self) -> dict[str, int]:
        """The bits of all statements of a function, by `path|function#`."""
        found: dict[str, int] = {}
        for place, number in self.places.items():
            found[function_of(place)] = found.get(function_of(place), 0) | 1 << number
        return found

    def _bits(self, place: str, mentions: Mentions) -> int:
        """The recorded statements by which tests come to a place."""
        if place.endswith("@"):
            bits = 0
            for mention in mentions.of(place):
                bits |= self._bits(mention, mentions)
            return bits or self._of_file(place)
        if not is_in_function(place):  # an import does it, and binds nothing
            return self._of_file(place)
        if place.endswith("#"):  # a default or a decorator, whose work may be done in it alone
            return self._of_all(place, f"{place[:-1]}.")
        # What importing has reached is every test's.
        if self._is_imported(place) or place not in self.places:
            return self._of_file(place)
        return 1 << self.places[place]

    def is_at_import(self, place: str) -> bool:
        """Whether what stands there is done while its file, or another, is imported."""
        if place.endswith(("#", "@")) or not is_in_function(place):
            return True
        return self._is_imported(place)

    def _is_imported(self, place: str) -> bool:
        """Whether it is a statement of a function that importing has reached."""
        return place in self.places and bool(self.imported >> self.places[place] & 1)

    def _of_file(self, place: str) -> int:
        return self._of_all(place.partition("|")[0] + "|")

    def _of_all(self, *beginnings: str) -> int:
        """The bits of all functions whose places begin like one of these."""
        bits = 0
        for function, some in self._of_functions.items():
            if function.startswith(beginnings):
                bits |= some
        return bits

    def plan(self, place: str, mentions: Mentions, budget: float) -> list[tuple[str, float]]:
        """The tests to ask of a place, the nearest first, each with its seconds.

        They take `budget` seconds in all; at least one is asked, if any reaches the place.
        """
        bits = self._bits(place, mentions)
        path = place.partition("|")[0]
        named = mentions.tests_of(place) if place.endswith("@") else set()
        if self._is_imported(place):  # what it made is looked at by tests that do not come there
            files = {test.file for test in self.tests.values()}
            named |= {file for file in files if distance(file, path) <= 2}
        asked = [
            test
            for test in self.tests.values()
            if test.is_green
            and test.file not in IN_STEPS
            and (test.reached & bits or test.file in named)
        ]
        return list(_within(_ranked(asked, path), budget))


def _moved(bits: int, numbers: list[int]) -> int:
    """The same places by other numbers."""
    if numbers == list(range(len(numbers))):
        return bits
    moved = 0
    for number, other in enumerate(numbers):
        if bits >> number & 1:
            moved |= 1 << other
    return moved


def _ranked(tests: Iterable[Test], path: str) -> list[Test]:
    """The nearest first; of a function with many parameters the later ones later, and yet before
    tests that are farther: the parameter of a table's row may be the only one to see it."""
    ranked = []
    seen: Counter[str] = Counter()
    for test in sorted(tests, key=lambda each: (needs_postgres(each.name), each.seconds)):
        later = min(seen[test.function], 8) / 9
        seen[test.function] += 1
        ranked.append(
            (
                distance(test.file, path) + later,
                test.reached.bit_count(),
                test.seconds,
                test.name,
                test,
            )
        )
    return [test for *_, test in sorted(ranked, key=lambda each: each[:-1])]


def distance(test_file: str, path: str) -> int:
    """How far a test is from a file by their names: 0 in the same folder by the same word, 1 by
    either, to 4."""
    test, file = PurePosixPath(test_file), PurePosixPath(path)
    folder = file.parts[1:-1] if file.parts[0] == "portal" else file.parts[:-1]
    is_beside, is_named = test.parts[1:-1] == folder, file.stem in test.stem
    if is_beside and is_named:
        return 0
    if test.parts[1] in {"faults", "browser"}:
        return 4
    is_of_tables = path.startswith(MODELS) and test.parts[1] == "database"
    if is_beside or is_named or is_of_tables or test.parent.name in NETS:
        return 1
    words = set(folder) | {file.stem}
    is_akin = bool(words & set(test.parts[2:-1])) or any(
        word in test.stem for word in folder[1:] or folder
    )
    return 2 if is_akin else 3


def _within(tests: Iterable[Test], budget: float) -> Iterator[tuple[str, float]]:
    left, opened = budget, set[str]()
    for test in tests:
        cost = max(test.seconds, LEAST) + (0 if test.file in opened else OPENED)
        if cost <= left or not opened:
            left -= cost
            opened.add(test.file)
            yield test.name, test.seconds
