"""Distribute the test files over the processes of pytest-xdist.

Some tests compute. Others mostly wait for processes, servers, and clocks. If the waiting tests
started together, all processes would wait. If more processes computed than there are cores, they
would evict each other's caches (six processes on two cores take half as long again as two). So one
process per core computes, and the others run the waiting tests. A process for waiting tests ends
when no such test is left.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

CORES: Final = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
# Files under faults/ that share one running portal per database.
SHARING: Final = {
    *("test_database.py", "test_imports.py", "test_kills.py", "test_saves.py", "test_valkey.py"),
    *("test_rolling_restart.py", "test_locked_row.py", "test_naming.py", "test_switch.py"),
    "test_chaos.py",
}
# Files and folders that spend about half of their time or more waiting.
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
    """Return the sort key of a test file (relative to tests/). The longest files start first."""
    places = (n for n, start in enumerate(LONG_FIRST) if path.startswith(start))
    return next(places, len(LONG_FIRST))


class TogetherScheduling(LoadFileScheduling):
    """A scheduler that keeps the tests of a file in one process, because they share servers.

    Tests that share a running portal stay together, too. Groups by mark need a feature that
    pytest 9.2 removed.
    """

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
        """Return True if no waiting test is left and all cores compute."""
        if not self._waits(node) or not self.workqueue or any(map(_waits, self.workqueue)):
            return False
        others = (other for other in self.nodes if not (other.shutting_down or self._waits(other)))
        return len(list(others)) >= CORES

    def _assign_work_unit(self, node: WorkerController) -> None:
        queue: Any = self.workqueue
        queue.move_to_end(_chosen(list(queue), self._waits(node)), last=False)
        super()._assign_work_unit(node)

    def _waits(self, node: WorkerController) -> bool:
        """Return True if this process (gw0, gw1 …) starts with waiting tests."""
        return int(node.gateway.id.removeprefix("gw")) >= min(CORES, self.numnodes - 1)


def _chosen(scopes: Sequence[str], is_for_waiting: bool) -> str:
    """Return the first scope of the wanted kind, or the first one of the other kind."""
    return next((scope for scope in scopes if _waits(scope) is is_for_waiting), scopes[0])


def _waits(scope: str) -> bool:
    return scope.removeprefix("tests/").startswith(WAITING)
