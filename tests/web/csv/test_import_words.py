"""What an import says of a whole file: each thing once, in few words however many there are."""

from typing import Any

import pytest
from flask import Flask

from portal.models.tasks import Task, TaskState
from portal.web.csv import wording


def said(counts: dict[str, int] | None = None, **params: Any) -> list[str]:
    return wording.notes(Task(params=params), counts or {})


def categories(many: int) -> dict[str, tuple[str, int]]:
    """So many new names, of which the last stands in most rows."""
    return {f"c{number}": (f"C{number}", number) for number in range(1, many + 1)}


def test_of_many_new_names_the_most_frequent_are_told_and_the_others_counted(app: Flask) -> None:
    (one,) = said(notes={"category": categories(1)})
    assert one == "1 new category: C1 (1 row)."
    told = ", ".join(f"C{number} ({number} rows)" for number in range(10, 1, -1))
    (ten,) = said(notes={"category": categories(10)})
    assert ten == f"10 new categories: {told}, C1 (1 row)."
    told = ", ".join(f"C{number} ({number} rows)" for number in range(12, 2, -1))
    (twelve,) = said(notes={"category": categories(12)})
    assert twelve == f"12 new categories: {told}, 2 more."
    (beyond,) = said(notes={"category": categories(12) | {"": ("", 7)}})
    assert beyond == f"More than 12 new categories: {told}, more in 10 rows."


@pytest.mark.parametrize(("skipped", "them"), [(1, "it"), (2, "them")])
def test_what_is_skipped_says_how_it_could_be_changed(app: Flask, skipped: int, them: str) -> None:
    (sentence,) = said({"skipped": skipped})
    assert sentence.startswith(f"Skipped {skipped} row")
    assert f"To change {them}, choose the file again" in sentence


def test_columns_are_named_that_are_left_alone_or_not_known(app: Flask) -> None:
    (one,) = said(left_alone=["status"])
    assert one.startswith("The column status is left alone: ")
    (two,) = said(left_alone=["status", "due_at"])
    assert two.startswith("The columns status, due_at are left alone: ")
    (unknown,) = said(unknown={"colour": "", "serial_numer": "serial_number"})
    names = "colour, serial_numer (did you mean serial_number?)"
    assert unknown == f"These columns are not known and are left out: {names}."


def test_what_a_row_brings_is_told_in_numbers(app: Flask) -> None:
    for counts, sentence in (
        ({"create": 1}, "1 asset is added."),
        ({"update": 2}, "2 assets are changed."),
        ({"create": 2, "update": 1}, "2 assets are added and 1 asset is changed."),
    ):
        assert wording.would_do(counts) == sentence


@pytest.mark.parametrize(
    ("state", "counts", "params", "sentence"),
    [
        (TaskState.DONE, {"create": 1}, {}, ""),
        (TaskState.DONE, {"update": 1, "error": 2}, {}, ""),
        (TaskState.DONE, {"unchanged": 3}, {}, "There is nothing to import in this file."),
        (TaskState.DONE, {"create": 1}, {"import": "x"}, "This file has been imported."),
        (
            TaskState.FAILED,
            {"create": 1},
            {},
            "The check did not finish, so this file cannot be imported. Choose it again.",
        ),
    ],
)
def test_why_a_file_cannot_be_imported_is_told(
    state: TaskState, counts: dict[str, int], params: dict[str, str], sentence: str
) -> None:
    task = Task(state=state, counts=counts, params=params)
    assert wording.why_not_confirm(task) == sentence
