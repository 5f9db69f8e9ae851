"""Which tests are asked about a mutant: those that reach it, the nearest first, within a budget."""

import ast
import json
from pathlib import Path

import pytest

from portal.engine.events.body import wire_time
from portal.lib.clock import utcnow
from tests.mutants.caches import forget_what_is_kept
from tests.mutants.reach import probes
from tests.mutants.reach.mentions import Mentions
from tests.mutants.reach.reach import Reach, distance
from tests.mutants.source import Module

FILE = "portal/services/alerts/rules.py"
TEXT = """
MOST = 3
BY_NAME = {"most": MOST}

def is_due(days):
    if days > 9:
        return False
    return days < BY_NAME["most"]

@cache
def table():
    return {}
"""
NEAR = "tests/services/alerts/test_rules.py::test_a"
PAGE = "tests/web/alerts/test_pages.py::test_b[sqlite]"
FAR = "tests/faults/test_c.py::test_c"


@pytest.fixture
def mentions() -> Mentions:
    return Mentions([Module(FILE, TEXT)], {"tests/web/test_d.py": "from rules import MOST"})


@pytest.fixture
def reach() -> Reach:
    places = [f"{FILE}|is_due#{n}" for n in range(3)] + [f"{FILE}|table#0"]
    told = [(FAR, 1, "111"), (PAGE, 1, "101"), (NEAR, 2, "001"), ("tests/x.py::test_red", 1, "1")]
    lines = [
        json.dumps({"id": name, "seconds": s, "reached": f"{int(bits, 2):x}", "outcome": outcome})
        for name, s, bits in told
        for outcome in ["failed" if "red" in name else "passed"]
    ]
    made = Reach()
    made.add(places, lines)
    return made


def asked(reach: Reach, place: str, mentions: Mentions, budget: float = 100) -> list[str]:
    return [name for name, _ in reach.plan(f"{FILE}|{place}", mentions, budget)]


def test_the_tests_that_reach_a_statement_are_asked_the_nearest_first(
    reach: Reach, mentions: Mentions
) -> None:
    assert asked(reach, "is_due#0", mentions) == [NEAR, PAGE, FAR]
    assert asked(reach, "is_due#1", mentions) == [FAR]
    assert asked(reach, "table#0", mentions) == []


def test_what_is_done_at_an_import_is_asked_of_all_that_stand_near_as_well(
    reach: Reach, mentions: Mentions
) -> None:
    line = json.dumps({"id": "", "seconds": 0, "outcome": "passed", "reached": "1"})
    reach.add([f"{FILE}|table#0"], [line])
    assert asked(reach, "table#0", mentions) == [NEAR, PAGE, FAR]
    apart = "tests/services/alerts/test_apart.py::test_d"
    line = json.dumps({"id": apart, "seconds": 1, "outcome": "passed", "reached": "0"})
    reach.add([f"{FILE}|table#0"], [line])
    assert asked(reach, "table#0", mentions) == [NEAR, apart, PAGE, FAR]
    assert asked(reach, "is_due#0", mentions) == [NEAR, PAGE, FAR]


def test_what_a_decorator_is_given_is_asked_of_those_that_reach_what_it_makes(
    reach: Reach, mentions: Mentions
) -> None:
    line = json.dumps({"id": PAGE, "seconds": 1, "outcome": "passed", "reached": "1"})
    reach.add([f"{FILE}|decorate.run#0"], [line])
    assert asked(reach, "decorate#", mentions) == [PAGE]
    assert asked(reach, "decorat#", mentions) == []


def test_a_table_is_asked_of_the_tests_that_reach_what_mentions_it(
    reach: Reach, mentions: Mentions
) -> None:
    assert asked(reach, "MOST@", mentions) == [PAGE, FAR]


def test_a_table_that_only_an_import_reads_is_asked_of_all_tests_of_its_file(reach: Reach) -> None:
    mentions = Mentions(
        [Module(FILE, f"{TEXT}\nassert MOST < 9\nLEAST = 0\nassert LEAST < 9\n")], {}
    )
    assert asked(reach, "LEAST@", mentions) == [NEAR, PAGE, FAR]


def test_a_column_is_asked_of_the_tests_that_look_at_all_tables() -> None:
    tests = {"tests/test_a.py": "Base.metadata", "tests/test_b.py": "label", "tests/test_c.py": ""}
    mentions = Mentions([], tests)
    assert mentions.tests_of("portal/models/assets.py|Asset.label@") == {*list(tests)[:2]}
    assert mentions.tests_of("portal/web/assets/forms.py|Form.label@") == {"tests/test_b.py"}


def test_no_more_is_asked_than_the_budget_allows_but_always_the_nearest(
    reach: Reach, mentions: Mentions
) -> None:
    assert asked(reach, "is_due#0", mentions, budget=4) == [NEAR, PAGE]
    assert asked(reach, "is_due#0", mentions, budget=0) == [NEAR]


def test_what_was_recorded_reads_back(reach: Reach, mentions: Mentions, tmp_path: Path) -> None:
    reach.save(tmp_path / "reach.json")
    read = Reach.read(tmp_path / "reach.json")
    assert asked(read, "is_due#0", mentions) == [NEAR, PAGE, FAR]


def test_two_recordings_go_together_though_they_number_their_places_otherwise(
    reach: Reach, mentions: Mentions
) -> None:
    line = json.dumps(
        {"id": "tests/y.py::test_y", "seconds": 1, "outcome": "passed", "reached": "2"}
    )
    reach.add(["portal/new.py|f#0", f"{FILE}|is_due#1"], [line])
    assert asked(reach, "is_due#1", mentions) == ["tests/y.py::test_y", FAR]


@pytest.mark.parametrize(
    ("test", "path", "far"),
    [
        ("tests/services/alerts/test_rules.py", FILE, 0),
        ("tests/services/alerts/test_alerts.py", FILE, 1),
        ("tests/services/limits/test_values.py", FILE, 1),
        ("tests/jobs/sender/test_bell_listener.py", "jobs/dispatcher/bell_listener.py", 1),
        ("tests/web/alerts/test_alert_pages.py", FILE, 2),
        ("tests/web/home/test_home.py", FILE, 3),
        ("tests/browser/test_alerts.py", FILE, 4),
        ("tests/database/test_database.py", "portal/models/audit.py", 1),
        ("tests/jobs/dispatcher/test_dispatcher.py", "jobs/dispatcher/loop.py", 0),
    ],
)
def test_near_is_what_has_the_same_words_in_its_path(test: str, path: str, far: int) -> None:
    assert distance(test, path) == far


def test_what_functions_keep_is_made_anew_for_each_test() -> None:
    at = utcnow()
    wire_time(at)
    assert wire_time.cache_info().currsize > 0
    forget_what_is_kept()
    assert wire_time.cache_info().currsize == 0


def test_a_probe_stands_before_every_statement_of_a_function(tmp_path: Path) -> None:
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "rules.py").write_text(f'"""Rules."""\n{TEXT}')
    places = probes.put_probes(tmp_path)
    assert places == ["is_due#0", "is_due#1", "is_due#2", "table#0"] or places == [
        f"portal/rules.py|{place}" for place in ("is_due#0", "is_due#1", "is_due#2", "table#0")
    ]
    tree = ast.parse((tmp_path / "portal" / "rules.py").read_text())
    assert ast.get_docstring(tree) == "Rules."
    assert ast.unparse(tree).count("_reached_[") == 4
