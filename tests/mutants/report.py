"""The report: a line for each mutant, and the score in all and of each area."""

from collections.abc import Iterable, Sequence
from typing import Final

from tests.mutants.areas import AREAS
from tests.mutants.trials.result import Outcome, Result

GOAL: Final = 90  # per cent, of all
GOAL_OF_AREA: Final = 85


def per_cent(results: Iterable[Result]) -> float:
    """The share that was seen of those that count."""
    counted = [each for each in results if each.outcome.counts]
    return 100 * sum(each.outcome.is_seen for each in counted) / len(counted) if counted else 100


def misses(results: Sequence[Result]) -> list[str]:
    """What is below its goal, each in a sentence."""
    told = []
    if per_cent(results) < GOAL:
        told.append(f"{per_cent(results):.0f} % in all is below {GOAL} %.")
    for area, of_area in _by_area(results):
        if per_cent(of_area) < GOAL_OF_AREA:
            told.append(f"{area}: {per_cent(of_area):.0f} % is below {GOAL_OF_AREA} %.")
    return told


def totals(results: Sequence[Result]) -> str:
    """A table of the areas, in Markdown."""
    lines = [
        "| Area | Mutants | Seen | Timed out | Survived | Score |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for area, some in [*_by_area(results), ("all", results)]:
        counted = [each.outcome for each in some if each.outcome.counts]
        late, seen = counted.count(Outcome.LATE), sum(each.is_seen for each in counted)
        numbers = f"{len(counted)} | {seen} | {late} | {len(counted) - seen}"
        lines.append(f"| {area} | {numbers} | {per_cent(some):.0f} % |")
    return "\n".join(lines)


def cost(results: Sequence[Result]) -> str:
    """How much of the processor the trials took, without the screen and what came before."""
    minutes = sum(each.processor for each in results) / 60
    of = sum(each.processor > 0 for each in results)
    return f"{of} trials took {minutes:.0f} minutes of processor time."


def table(results: Sequence[Result]) -> str:
    """Every mutant with its change, those that survived first, in Markdown."""
    lines = [totals(results), "", cost(results), ""]
    order = [Outcome.SURVIVED, Outcome.UNREACHED, Outcome.LATE, Outcome.SEEN, Outcome.EQUIVALENT]
    for outcome in [*order, Outcome.BROKEN]:
        for each in sorted(results, key=lambda r: (r.area, r.path, r.line)):
            if each.outcome is outcome:
                lines += ["", *told(each)]
    return "\n".join(lines) + "\n"


def told(result: Result) -> list[str]:
    """A mutant in a few lines."""
    by = f": {result.by}" if result.by else ""
    at_times = f" (red at times: {', '.join(result.at_times)})" if result.at_times else ""
    return [
        f"{result.area} · {result.path}:{result.line} · {result.kind} · {result.key}",
        f"  - {result.was}",
        f"  + {result.now}",
        f"  {result.outcome}{by}{at_times} · {result.tests} tests, {result.seconds:.0f} s",
    ]


def _by_area(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    found = [(area, [each for each in results if each.area == area]) for area in AREAS]
    return [(area, some) for area, some in found if any(each.outcome.counts for each in some)]
