"""Wording of the notes about a whole import file."""

from pathlib import Path
from typing import Any

from flask import Flask

from portal.models.tasks import Task, TaskState
from portal.web.csv import wording
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent / "golden" / "notes.txt"


def notes(counts: dict[str, int] | None = None, **params: Any) -> str:
    return " ".join(wording.notes(Task(params=params), counts or {}))


def categories(many: int) -> dict[str, tuple[str, int]]:
    """Return `many` new names, the last of which occurs in the most rows."""
    return {f"c{number}": (f"C{number}", number) for number in range(1, many + 1)}


def test_notes_about_a_file_match_the_golden_file(app: Flask, golden: Golden) -> None:
    beyond = categories(12) | {"": ("", 7)}
    done, failed = TaskState.DONE, TaskState.FAILED
    ends: tuple[tuple[str, TaskState, dict[str, int], dict[str, str]], ...] = (
        ("something to add", done, {"create": 1}, {}),
        ("some failed", done, {"update": 1, "error": 2}, {}),
        ("nothing to do", done, {"unchanged": 3}, {}),
        ("imported", done, {"create": 1}, {"import": "x"}),
        ("failed", failed, {"create": 1}, {}),
    )
    golden.said(
        GOLDEN,
        {
            **{f"{n} new": notes(notes={"category": categories(n)}) for n in (1, 10, 12)},
            "more new than are counted": notes(notes={"category": beyond}),
            **{f"{n} skipped": notes({"skipped": n}) for n in (1, 2)},
            "a column left alone": notes(left_alone=["status"]),
            "two left alone": notes(left_alone=["status", "due_at"]),
            "adds": wording.would_do({"create": 1}),
            "changes": wording.would_do({"update": 2}),
            "both": wording.would_do({"create": 2, "update": 1}),
            **{
                name: wording.why_not_confirm(Task(state=state, counts=counts, params=params))
                for name, state, counts, params in ends
            },
        },
    )
