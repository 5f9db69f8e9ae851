"""The sample: the same for the same seed, spread over functions, and each mutant at its place."""

from itertools import islice
from pathlib import Path

import pytest

from tests.mutants.areas import AREAS, area_of, files_of, shares
from tests.mutants.equivalents import Equivalents
from tests.mutants.sample import Mutant, drawn, mutants_of
from tests.mutants.source import Module
from tests.mutants.trees import ROOT

TEXT = """
LIMIT = 5

class Row:
    kind = "a"

    @late
    def take(self, most=LIMIT):
        if self.left < most:
            self.left = 0
        return self.left > 1

def first(rows):
    return rows[:LIMIT]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(TEXT)
    (tmp_path / "b.py").write_text("def f(a):\n    return a < 3 and a > 1\n")
    return tmp_path


def test_the_same_seed_gives_the_same_sample_and_another_gives_another(folder: Path) -> None:
    one, same, other = (list(drawn(folder, ["a.py", "b.py"], "web", n)) for n in (1, 1, 2))
    assert one == same
    assert one != other
    assert sorted(each.key for each in one) == sorted(each.key for each in other)


def test_a_change_elsewhere_leaves_the_turn_of_the_others(folder: Path) -> None:
    before = [each.key for each in drawn(folder, ["b.py"], "web", 1)]
    (folder / "b.py").write_text("# One more line.\n" + (folder / "b.py").read_text())
    assert [each.key for each in drawn(folder, ["b.py"], "web", 1)] == before


def test_no_function_gets_a_second_mutant_before_all_have_one(folder: Path) -> None:
    first = [each.place.partition("#")[0] for each in islice(drawn(folder, ["a.py"], "web", 3), 4)]
    assert len(set(first)) == 4


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("LIMIT = 6", "a.py|LIMIT@"),
        ("kind = 'a_'", "a.py|Row.kind@"),
        ("# none", "a.py|Row.take#"),
        ("if self.left <= most:", "a.py|Row.take#0"),
        ("pass", "a.py|Row.take#1"),
        ("return self.left >= 1", "a.py|Row.take#2"),
        ("return rows", "a.py|first#0"),
    ],
)
def test_each_mutant_knows_its_place(line: str, place: str) -> None:
    found = {each.now: each.place for each in mutants_of(Module("a.py", TEXT))}
    assert found[line] == place


def test_every_area_has_files_and_the_shares_add_up() -> None:
    assert all(files_of(ROOT).values())
    assert sum(share for share, _ in AREAS.values()) == 300
    assert shares(300, list(AREAS)) == {area: share for area, (share, _) in AREAS.items()}
    assert sum(shares(40, list(AREAS)).values()) == 40
    assert area_of("portal/services/demo/seed.py") is None


@pytest.mark.parametrize(
    ("path", "area"),
    [
        ("portal/services/erasure/walk.py", "sign-in and vault"),
        ("portal/web/erasure/views.py", "sign-in and vault"),
        ("jobs/web_server/worker.py", "jobs"),
        ("jobs/dispatcher/loop.py", "claiming and dispatch"),
    ],
)
def test_a_file_is_scored_in_the_first_area_that_names_it(path: str, area: str) -> None:
    assert area_of(path) == area


def test_every_equivalent_mutant_of_the_table_is_one_that_the_operators_make() -> None:
    table = Equivalents.read()
    made: set[tuple[str, str, str]] = set()
    for path in {path for path, _, _ in table.rows}:
        made |= {(each.path, each.was, each.now) for each in _mutants(path)}
    assert set(table.rows) - made == set()
    assert all(row.reason.endswith(".") for row in table.rows.values())


def _mutants(path: str) -> list[Mutant]:
    return list(mutants_of(Module.read(ROOT, path)))
