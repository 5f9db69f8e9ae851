"""A run: workers that take the mutants of all areas in turn, each in a copy of the tree."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from tests.mutants import report
from tests.mutants.areas import AREAS, files_of, shares
from tests.mutants.equivalents import Equivalents
from tests.mutants.reach.mentions import Mentions
from tests.mutants.reach.reach import Reach
from tests.mutants.results import Results
from tests.mutants.sample import Mutant, drawn
from tests.mutants.screen import Screen
from tests.mutants.source import Module
from tests.mutants.trees import ROOT, copied, end_all
from tests.mutants.trials.fork_server import fork_server
from tests.mutants.trials.plan import Change
from tests.mutants.trials.result import Outcome, Result
from tests.mutants.trials.trial import tried


@dataclass(slots=True)
class Shard:
    """The mutants of an area in their turn, of which `left` are still to be tried."""

    area: str
    mutants: Iterator[Mutant]
    left: int


class Run:
    """What the workers share. `results` of this run are by their mutants' keys."""

    def __init__(self, wanted: Namespace, reach: Reach, known: Results, screen: Screen) -> None:
        self.results: dict[str, Result] = {}
        self.is_stopped = False
        self._budget: float = wanted.budget
        self._reach, self._known, self._screen = reach, known, screen
        self._equivalents = Equivalents.read()
        self._lock = Lock()
        areas = files_of(ROOT)
        texts = [Module.read(ROOT, file) for files in areas.values() for file in files]
        self._modules = {module.path: module for module in texts}
        self._mentions = Mentions(texts, {path: (ROOT / path).read_text() for path in reach.files})
        self._shares = [
            Shard(area, drawn(ROOT, areas[area], area, wanted.seed), left)
            for area, left in shares(wanted.count, wanted.area or list(AREAS)).items()
        ]

    def work(self) -> None:
        """Try mutants until none is left."""
        with copied() as tree, fork_server(tree) as asker:
            while (taken := self._next()) is not None:
                share, mutant = taken
                plan = self._reach.plan(mutant.place, self._mentions, self._budget)
                module = self._modules[mutant.path]
                is_at_import = self._reach.is_at_import(mutant.place)
                change = Change(mutant.path, module.text, mutant.text(module), is_at_import)
                result = tried(tree, asker, mutant, change, plan, share.area)
                if self.is_stopped:  # its tests were ended, not red
                    return
                with self._lock:
                    self._known.add(result)
                    self._keep(share, result)
                print("\n".join(report.told(result)), flush=True)

    def stop(self) -> None:
        """End what is at work; what is known so far is kept."""
        self.is_stopped = True
        end_all()

    def _next(self) -> tuple[Shard, Mutant] | None:
        """The next mutant of the area that has most left; None when all have had theirs."""
        with self._lock:
            while (
                not self.is_stopped
                and (share := max(self._shares, key=lambda each: each.left)).left > 0
            ):
                mutant = next(share.mutants, None)
                if mutant is None:
                    share.left = 0
                elif reason := self._equivalents.reason(mutant):
                    self._keep(share, Result.of(mutant, share.area, Outcome.EQUIVALENT, by=reason))
                elif self._screen.passes(mutant, self._modules[mutant.path]):
                    if result := self._known.get(mutant.key):
                        share.left -= 1
                        self._keep(share, result)
                    else:
                        share.left -= 1
                        return share, mutant
        return None

    def _keep(self, share: Shard, result: Result) -> None:
        self.results[result.key] = result
        if result.outcome is Outcome.BROKEN:
            share.left += 1
