"""Those who want to know how the portal is: a machine that probes, Prometheus, an administrator at
a page, one at a terminal."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.support.running_portal import RunningPortal
from tests.faults.support.visitor import Visitor
from tests.support.html import parse
from tests.support.processes import Process, until

QUICK = 0.5  # seconds; from memory it is a matter of milliseconds
ASKED = 3  # times at most: what waits for the database does so each time, a busy machine does not


class Watch:
    """All of them, on one portal that is a local trial."""

    def __init__(self, portal: RunningPortal, visitor: Visitor) -> None:
        self._portal, self._visitor = portal, visitor

    def readyz(self, purpose: str = "") -> dict[str, Any]:
        """What the probe is told, which never waits for what is broken."""
        question = f"?for={purpose}" if purpose else ""
        for _ in range(ASKED):
            answer = requests.get(f"{self._portal.url}/readyz{question}", timeout=5)
            if answer.elapsed.total_seconds() < QUICK:
                break
        assert answer.elapsed.total_seconds() < QUICK
        said: dict[str, Any] = answer.json()
        assert said["ready"] is (answer.status_code == 200)
        return said

    def findings(self) -> set[str]:
        """The keys in the metrics."""
        text = requests.get(f"{self._portal.url}/metrics", timeout=10).text
        return {
            sample.labels["key"]
            for family in text_string_to_metric_families(text)
            if family.name == "asset_webhooks_finding"
            for sample in family.samples
        }

    def system(self) -> str:
        """The words of Settings → System."""
        return parse(self._visitor.read("/settings/system"))[0].text

    def doctor(self) -> str:
        """What `flask doctor` prints."""
        output = self._portal.process.output.with_name("doctor.log")
        output.unlink(missing_ok=True)
        words = ["-m", "flask", "--app", "wsgi", "doctor", "--quiet"]
        code = Process(output, words, self._portal.environment).wait(60)
        said = output.read_text()
        assert code in {0, 1, 2}, said
        return said

    def all_name(self, key: str, words: str, *, is_ready: bool = False) -> list[str]:
        """Those who do not name it: nobody after at most ten seconds; the terminal, whose start
        alone takes a while, right then."""
        ends_at = monotonic() + 10
        asked: dict[str, Callable[[], bool]] = {
            "readyz": lambda: is_ready or words in str(self.readyz()["database"]),
            "metrics": lambda: key in self.findings(),
            "system": lambda: words in self.system(),
        }
        silent = [name for name, ask in asked.items() if not until(ask, ends_at - monotonic())]
        said = self.doctor()
        return [*silent, *([] if words in said else [f"doctor: {said}"])]

    def is_well(self) -> bool:
        """Whether nothing of the database is told any more, where a machine asks."""
        return self.readyz()["database"] == "ok" and not any(
            key.startswith("database") for key in self.findings()
        )
