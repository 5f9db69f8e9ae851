"""`python -m tests.mutants`: how many small faults in the product the tests see."""

import argparse
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.mutants import report
from tests.mutants.areas import AREAS
from tests.mutants.reach.record import recorded
from tests.mutants.results import Results
from tests.mutants.run import Run
from tests.mutants.screen import screen
from tests.mutants.trees import ROOT

KEPT: Final = ROOT / "test-results" / "mutants"


def main() -> int:
    """Take a sample, try each mutant, and tell the score; 1 when it is below a goal."""
    wanted = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    KEPT.mkdir(parents=True, exist_ok=True)
    reach = recorded(KEPT / "reach.json", wanted.workers, is_anew=wanted.record)
    known = Results(KEPT / f"seed-{wanted.seed}.jsonl", again=wanted.again)
    with screen(KEPT / "screen.json") as screened:
        run = Run(wanted, reach, known, screened)
        with ThreadPoolExecutor(wanted.workers) as pool:
            work = [pool.submit(run.work) for _ in range(wanted.workers)]
            try:
                for done in work:
                    done.result()
            except BaseException:
                run.stop()
                raise
    results = list(run.results.values())
    (KEPT / "report.md").write_text(report.table(results))
    misses = report.misses(results)
    print("", report.totals(results), "", report.cost(results), *misses, sep="\n")
    print(f"Every mutant: {(KEPT / 'report.md').relative_to(ROOT)}")
    return 1 if misses else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which sample (1)")
    parser.add_argument("--count", type=int, default=300, help="how many mutants (300)")
    parser.add_argument("--area", choices=AREAS, action="append", help="only this; repeatable")
    parser.add_argument("--budget", type=float, default=120, help="seconds of tests a mutant (120)")
    parser.add_argument("--workers", type=int, default=2, help="mutants at once (2)")
    parser.add_argument("--record", action="store_true", help="learn anew what each test reaches")
    parser.add_argument("--again", action="store_true", help="try again those that survived")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
