"""The four readers of a portal's health: a probe, Prometheus, and an administrator at a page or at
a terminal."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.support.running_portal import RunningPortal
from tests.faults.support.visitor import Visitor
from tests.support.html import parse
from tests.support.processes import Process, until

QUICK = 0.5  # seconds, because an answer from memory takes milliseconds
ASKED = 3  # attempts, because only a probe that waits for the database is slow each time


class Watch:
    """All readers of one portal, which is a local trial."""

    def __init__(self, portal: RunningPortal, visitor: Visitor) -> None:
        self._portal, self._visitor = portal, visitor

    def readyz(self, purpose: str = "") -> dict[str, Any]:
        """Return the probe's response, which never waits for a broken part."""
        question = f"?for={purpose}" if purpose else ""
        for _ in range(ASKED):
            answer = requests.get(f"{self._portal.url}/readyz{question}", timeout=5)
            if answer.elapsed.total_seconds() < QUICK:
                break
        assert answer.elapsed.total_seconds() < QUICK
        body: dict[str, Any] = answer.json()
        assert body["ready"] is (answer.status_code == 200)
        return body

    def findings(self) -> set[str]:
        """Return the keys in the metrics."""
        text = requests.get(f"{self._portal.url}/metrics", timeout=10).text
        return {
            sample.labels["key"]
            for family in text_string_to_metric_families(text)
            if family.name == "asset_webhooks_finding"
            for sample in family.samples
        }

    def system(self) -> str:
        """Return the text of Settings → System."""
        return parse(self._visitor.read("/settings/system"))[0].text

    def doctor(self) -> str:
        """Return the output of `flask doctor`."""
        output = self._portal.process.output.with_name("doctor.log")
        output.unlink(missing_ok=True)
        words = ["-m", "flask", "--app", "wsgi", "doctor", "--quiet"]
        code = Process(output, words, self._portal.environment).wait(60)
        printed = output.read_text()
        assert code in {0, 1, 2}, printed
        return printed

    def all_name(self, key: str, words: str, *, is_ready: bool = False) -> list[str]:
        """Return the readers that don't name the fault after ten seconds. The terminal's start
        alone takes a while, so it is asked once, at the end."""
        ends_at = monotonic() + 10
        asked: dict[str, Callable[[], bool]] = {
            "readyz": lambda: is_ready or words in str(self.readyz()["database"]),
            "metrics": lambda: key in self.findings(),
            "system": lambda: words in self.system(),
        }
        silent = [name for name, ask in asked.items() if not until(ask, ends_at - monotonic())]
        printed = self.doctor()
        return [*silent, *([] if words in printed else [f"doctor: {printed}"])]

    def is_well(self) -> bool:
        """Return whether neither the probe nor the metrics report a database fault."""
        return self.readyz()["database"] == "ok" and not any(
            key.startswith("database") for key in self.findings()
        )
