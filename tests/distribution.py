"""Which of the tests' processes takes which tests, and when.

Some tests compute, others wait most of their time for processes, servers and clocks. Were those
that wait begun together, all processes would wait with them; were more to compute than there are
cores, they would take each other's caches away (six processes on two cores take half as long again
as two for the same). So as many processes as there are cores compute, and the others wait; these
end when nothing is left that waits.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

CORES: Final = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
# Files of faults that one running portal on each database serves.
SHARING: Final = {
    *("test_database.py", "test_imports.py", "test_kills.py", "test_saves.py", "test_valkey.py"),
    *("test_rolling_restart.py", "test_locked_row.py", "test_naming.py", "test_switch.py"),
    "test_chaos.py",
}
# Those of which about half or more is waiting.
WAITING: Final = (
    *("faults/", "portal on ", "jobs/", "engine/http/", "queue/"),
    *("browser/test_first_run.py", "browser/test_deliveries.py"),
    *("services/erasure/", "services/rivals/", "services/dispatch/"),
    *("services/core/test_chunked_walks.py", "services/operations/test_readiness.py"),
    *("services/webhooks/test_drafts.py", "web/webhooks/test_webhook_drafts.py"),
)
LONG_FIRST: Final = (
    "faults/",
    "browser/test_pages.py",
    "browser/",
    "jobs/",
    "engine/http/",
    "services/demo/",
    "services/erasure/",
    "services/core/",
    "web/home/",
    "web/help/",
    "web/frame/",
)


def place(path: str) -> int:
    """Where a file of tests stands (from the folder of tests): what takes longest begins, lest one
    process ends with it alone."""
    places = (n for n, start in enumerate(LONG_FIRST) if path.startswith(start))
    return next(places, len(LONG_FIRST))


class TogetherScheduling(LoadFileScheduling):
    """Keeps the tests of a file in one process, for they share servers; those that hurt a portal
    which files share, with all of that portal. (Groups by mark need what pytest 9.2 took away.)"""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if Path(file).name not in SHARING or "faults" not in file:
            return file
        return f"portal on {'postgres' if 'postgres' in test else 'sqlite'}"

    def _reschedule(self, node: WorkerController) -> None:
        if self._is_spare(node):
            node.shutdown()
        else:
            super()._reschedule(node)

    def _is_spare(self, node: WorkerController) -> bool:
        """Whether nothing is left that waits, and all cores compute."""
        if not self._waits(node) or not self.workqueue or any(map(_waits, self.workqueue)):
            return False
        others = (each for each in self.nodes if not (each.shutting_down or self._waits(each)))
        return len(list(others)) >= CORES

    def _assign_work_unit(self, node: WorkerController) -> None:
        queue: Any = self.workqueue
        queue.move_to_end(_chosen(list(queue), self._waits(node)), last=False)
        super()._assign_work_unit(node)

    def _waits(self, node: WorkerController) -> bool:
        """Whether this process (gw0, gw1 …) begins with what waits, as one of several does."""
        return int(node.gateway.id.removeprefix("gw")) >= min(CORES, self.numnodes - 1)


def _chosen(scopes: Sequence[str], is_for_waiting: bool) -> str:
    """The first of its own kind, or of the other when none is left."""
    return next((each for each in scopes if _waits(each) is is_for_waiting), scopes[0])


def _waits(scope: str) -> bool:
    return scope.removeprefix("tests/").startswith(WAITING)
