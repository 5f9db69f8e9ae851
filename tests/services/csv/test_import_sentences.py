"""Plausible and hostile sheets: each row is told what is really wrong with it."""

import pytest
from flask import Flask

from portal.lib.spreadsheets.sheets import read_csv
from portal.services.core.refusals import Refusal
from portal.services.csv import import_task
from tests.support.factories import make_user


def test_a_file_without_our_headings_is_told_what_its_first_row_reads(app: Flask) -> None:
    for heading, read_as in (
        ("Tag;Bezeichnung;Ort", "tag, bezeichnung, ort"),
        ("Inventory 2026;;", "inventory_2026"),
        ("asset_tag|name", "asset_tag|name"),
        (",".join(f"column {number}" for number in range(1, 9)), "column_1, column_2, column_3, …"),
        ("x" * 90, "x" * 40),
    ):
        person, sheet = make_user(), read_csv(f"{heading}\nA,B,C\n".encode())
        with pytest.raises(Refusal) as refused:
            import_task.upload(person.actor, sheet, may_add=False)
        assert (refused.value.field, refused.value.sentence) == (
            "file",
            f"The file needs a column asset_tag or name. Its first row reads “{read_as}”",
        ), heading


def test_a_first_row_without_a_word_is_told_apart(app: Flask) -> None:
    person, sheet = make_user(), read_csv(b";;\nA;B;C\n")
    with pytest.raises(Refusal, match=r"asset_tag or name\. Its first row is blank"):
        import_task.upload(person.actor, sheet, may_add=False)
