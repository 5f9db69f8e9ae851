"""Two machines serve pages from one PostgreSQL, each behind its own cable."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest
import requests

from portal.extensions import db
from tests.faults.healing.cable import EVERYBODY, RECEIVERS, Cable
from tests.faults.support.durations import needs_tun
from tests.faults.support.machines import environment_of_machine
from tests.faults.support.running_portal import RunningPortal
from tests.faults.support.visitor import Visitor
from tests.support.database.memory_folder import memory_folder
from tests.support.database.own_postgres import own_postgres
from tests.support.factories import make_user
from tests.support.processes import until

log = logging.getLogger(__name__)

SAVE_ENDS = 5.0  # seconds
APART = 60  # seconds between the clocks
pytestmark = [pytest.mark.netns(addresses=[RECEIVERS]), needs_tun]
Machines = list[tuple[RunningPortal, Cable]]


@contextmanager
def two_web_servers(folder: Path, ahead: int = 0) -> Iterator[Machines]:
    """Run both machines in the application context of the first. The second one's clock is fast by
    `ahead` seconds."""
    machines: Machines = []
    with (
        memory_folder("webs") as place,
        own_postgres(place, address=RECEIVERS, clients=EVERYBODY) as url,
        ExitStack() as stack,
    ):
        for number, shift in ((1, 0), (2, ahead)):
            cable = Cable(place, number)
            stack.callback(cable.close)
            own = folder / f"m{number}"
            own.mkdir()
            settings = environment_of_machine(own / "instance", url, "unix:///nobody.sock", shift)
            settings |= {"HOST": cable.far, "MACHINE": f"m{number}"}
            portal = RunningPortal(own, settings, ["web"], within=cable.words)
            stack.callback(portal.close)
            assert portal.starts(), portal.process.output.read_text()
            machines.append((portal, cable))
        with machines[0][0].app.app_context():
            yield machines
            db.session.remove()
            db.engine.dispose()


class Browser:
    """A browser that reaches either machine under one name, as behind a proxy."""

    def __init__(self, machines: Machines) -> None:
        self._urls = [portal.url for portal, _ in machines]
        self._web = requests.Session()
        self._web.trust_env = False
        self._web.headers["Host"] = "portal.example"

    def read(self, machine: int, path: str = "/account") -> str:
        return self._web.get(self._urls[machine] + path, timeout=20).text

    def send(self, machine: int, path: str, page: str, **typed: str) -> requests.Response:
        """Send a form from a page that the other machine can have rendered."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token, page
        form = {"csrf_token": token[1], **typed}
        return self._web.post(self._urls[machine] + path, form, timeout=20)

    def close(self) -> None:
        self._web.close()


def a_minute_between_clocks_signs_nobody_out_and_refuses_no_form(machines: Machines) -> None:
    ana = make_user()
    for first in (0, 1):
        browser = Browser(machines)
        page = browser.read(first, "/sign-in")
        browser.send(1 - first, "/sign-in", page, email=ana.email, password=ana.password)
        for machine in (first, 1 - first) * 3:
            page = browser.read(machine)
            assert "Your account" in page
            answer = browser.send(1 - machine, "/account/sessions/end-others", page)
            assert answer.status_code == 200
            assert "Your account" in answer.text
        browser.close()


def a_machine_cut_off_in_the_middle_of_a_save_holds_up_no_save_of_the_other(
    machines: Machines,
) -> None:
    """Cut the machine off after it has taken a tag, while its transaction is open."""
    with ThreadPoolExecutor(1) as pool:
        (cut_off, cable), (whole, _) = machines
        lost, visitor = Visitor(cut_off), Visitor(whole)
        draft = lost.draft("Lost")
        cable.cut_after = b"INSERT INTO assets"
        pool.submit(lost.is_saved, draft)
        assert until(lambda: cable.is_cut, 10)
        cut_at, took = monotonic(), []
        while monotonic() < cut_at + SAVE_ENDS:
            began = monotonic()
            assert visitor.is_saved(visitor.draft(f"Saved {len(took)}"))
            took.append(monotonic() - began)
        log.warning("%s saves, the slowest %.2f s", len(took), max(took))
        assert max(took) < SAVE_ENDS
        cable.cut_after, cable.is_cut = b"", False
        assert lost.insist(draft)
        lost.close()
        visitor.close()


def test_a_wrong_clock_or_a_cut_does_not_disturb_the_other_web_server(
    tmp_path: Path,
) -> None:
    with two_web_servers(tmp_path, ahead=APART) as machines:
        a_minute_between_clocks_signs_nobody_out_and_refuses_no_form(machines)
        a_machine_cut_off_in_the_middle_of_a_save_holds_up_no_save_of_the_other(machines)
