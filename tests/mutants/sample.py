"""The sample: which mutants of an area are tried, and in which order. The same for the same seed.

A mutant's turn hangs on its own words and the seed, not on its line or on other files, so that a
change of the code leaves most of the sample as it was.
"""

import ast
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import WEIGHTS
from tests.mutants.source import Module


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file, from byte `start` to byte `end` of it.

    `was` and `now` are the lines that it touches, as they stand before and after.
    """

    key: str
    path: str
    line: int
    kind: str
    place: str
    start: int
    end: int
    new: str
    was: str
    now: str

    def text(self, module: Module) -> str:
        """The whole file with the change."""
        return module.changed(self.start, self.end, self.new)


def mutants_of(module: Module) -> Iterator[Mutant]:
    """Everything that the operators can do to a file, each change once."""
    seen: Counter[str] = Counter()
    done: set[tuple[int, int, str]] = set()
    for spot in module.spots():
        for operator in WEIGHTS:
            for change in operator(module, spot):
                if change in done or module.between(*change[:2]) == change.new:
                    continue
                done.add(change)
                was, now = _lines(module, *change)
                place = module.place_at(change.start) or spot.place
                words = f"{place.partition('#')[0]}\n{was}\n{now}"
                seen[words] += 1
                key = hashlib.sha256(f"{words}\n{seen[words]}".encode()).hexdigest()[:12]
                line = module.line_of(change.start)
                kind = operator.__name__
                yield Mutant(key, module.path, line, kind, place, *change, was, now)


def _lines(module: Module, start: int, end: int, new: str) -> tuple[str, str]:
    """The lines that the change touches, each as one, before and after."""
    before, after = module.around(start, end)
    was = before + module.between(start, end) + after
    return " ".join(was.split()), " ".join((before + new + after).split())


def drawn(root: Path, paths: Sequence[str], area: str, seed: int) -> Iterator[Mutant]:
    """The mutants of an area's files in their turn; those that are no Python are left out.

    The kinds are drawn by their weights. No function gets a second mutant before all have one.
    """
    modules = {path: Module.read(root, path) for path in paths}
    waiting: dict[str, list[Mutant]] = {}
    for module in modules.values():
        for mutant in mutants_of(module):
            waiting.setdefault(mutant.kind, []).append(mutant)
    weights = {operator.__name__: weight for operator, weight in WEIGHTS.items()}
    for mutants in waiting.values():
        mutants.sort(key=lambda each: _turn(seed, each.key))
    yield from _mixed(modules, waiting, weights, random.Random(f"{seed} {area}"))  # noqa: S311


def _turn(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()


def _mixed(
    modules: Mapping[str, Module],
    waiting: dict[str, list[Mutant]],
    weights: Mapping[str, int],
    chance: random.Random,
) -> Iterator[Mutant]:
    used: Counter[str] = Counter()
    while any(waiting.values()):
        fewest = min(used[_scope(each)] for some in waiting.values() for each in some)
        turns = {
            kind: turn
            for kind, some in sorted(waiting.items())
            if (turn := next((each for each in some if used[_scope(each)] == fewest), None))
        }
        (kind,) = chance.choices(list(turns), [weights[each] for each in turns])
        mutant = turns[kind]
        waiting[kind].remove(mutant)
        if _is_python(mutant.text(modules[mutant.path])):
            used[_scope(mutant)] += 1
            yield mutant


def _scope(mutant: Mutant) -> str:
    return mutant.place.partition("#")[0]


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
