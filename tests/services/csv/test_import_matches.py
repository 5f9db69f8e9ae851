"""Guesses for headings and words of other programs, and rows read by the matches."""

import hashlib
from itertools import chain

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.tasks import ImportMatch
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.csv import import_matches
from portal.services.csv.export import COLUMNS
from portal.services.csv.import_matches import (
    HEADINGS,
    WORDS,
    Remembered,
    cells_by,
    guess,
    guess_word,
    refuse_unfit,
)
from portal.services.csv.import_sheet import OURS


def test_the_headings_of_a_german_list_are_guessed() -> None:
    columns = ["inventarnummer", "bezeichnung", "kategorie", "seriennr.", "zustand", "anschaffung"]
    assert guess([*columns, "preis", "bemerkung", "farbe"], {}, "EUR") == {
        "inventarnummer": "asset_tag",
        "bezeichnung": "name",
        "kategorie": "category",
        "seriennr.": "serial_number",
        "zustand": "condition",
        "anschaffung": "purchase_date",
        "preis": "purchase_cost",
        "bemerkung": "notes",
    }


def test_a_heading_is_guessed_from_its_words_and_its_cells() -> None:
    for heading, texts, ours in (
        ("inventory_no.", ["L-1"], "asset_tag"),
        ("asset_name", ["Lamp"], "name"),
        ("kind_of_device", ["Laptop", "Phone"], "category"),
        ("bought_on", ["22/04/2023"], "purchase_date"),
        ("bought_for", ["€ 12"], "purchase_cost"),
        ("bought_from", ["Acme"], None),
        ("guarantee_until", ["22/04/2023", "May 2, 2024"], "warranty_expires"),
        ("guarantee", ["two years"], None),
        ("price", ["$1,399", "on request"], "purchase_cost"),
        ("price", ["cheap", "dear", "12"], None),
        ("where", ["Berlin"], "location"),
        ("who", ["Maria Lopez"], "assigned_to_email"),
        ("kind", ["item", "Stock"], "kind"),
        ("kind", ["Laptop", "item", "Phone"], "category"),
        ("type", ["Gerät", "Lager"], "kind"),
        ("type", ["Laptop"], "category"),
        ("serial_numer", ["S1"], "serial_number"),
        ("qty", ["12", "3"], "quantity"),
        ("qty", ["a box"], None),
        ("purchase_date", ["soon"], "purchase_date"),
        ("colour", ["red"], None),
    ):
        assert guess([heading], {heading: texts}, "EUR").get(heading) == ours, (heading, texts)


def test_own_column_names_take_precedence_and_are_used_once() -> None:
    assert guess(["bezeichnung", "name", "gerät", "artikel"], {}, "EUR") == {"name": "name"}
    assert guess(["bezeichnung", "gerät"], {}, "EUR") == {"bezeichnung": "name"}
    dates = {"kind": ["Laptop"], "category": ["IT"]}
    assert guess(["kind", "category"], dates, "EUR") == {"category": "category"}


def test_every_known_spelling_leads_to_a_column_or_word_of_the_portal() -> None:
    assert set(chain.from_iterable(HEADINGS.values())) <= set(COLUMNS)
    for field, words in WORDS.items():
        assert set(words.values()) <= OURS[field]
        assert [word for word in words if word in OURS[field]] == []


def test_a_word_is_guessed_if_a_known_word_is_close() -> None:
    for field, word, known, ours in (
        ("condition", "Sehr gut", ["excellent", "good"], "excellent"),
        ("condition", "gut", ["good"], "good"),
        ("condition", "goood", ["good"], None),
        ("category", "Laptop", ["Laptops", "Desks"], "Laptops"),
        ("category", "Graz", ["Laptops"], None),
        ("location", "Office", ["Offices", "Store"], "Offices"),
        ("reservable", "ja", ["yes", "no"], "yes"),
        ("name", "gut", ["good"], None),
    ):
        assert guess_word(field, word, known) == ours, field


def test_a_row_is_read_by_the_matches() -> None:
    matches = {"zustand": "condition", "titel": "name", "preis": "purchase_cost"}
    words = {"condition": {"gut": "good", "?": ""}}
    row = {"zustand": "GUT", "titel": "gut", "farbe": "rot"}
    assert cells_by(matches, words, row) == {"condition": "good", "name": "gut"}
    assert cells_by(matches, words, {"zustand": "?"}) == {}
    assert cells_by(matches, words, {"zustand": "odd"}) == {"condition": "odd"}


def test_an_impossible_match_is_refused_at_its_heading() -> None:
    for matches, field, sentence in (
        ({"a": "name", "b": "name"}, "column_1", "Choose one of the 2 columns for this field"),
        ({"a": "model", "b": "notes"}, None, "Match one heading to Tag or Name"),
        ({}, None, "Match one heading to Tag or Name"),
        ({"a": "name", "b": "id"}, "column_1", "Choose from the list"),
    ):
        with pytest.raises(Refusal, match=sentence) as refused:
            refuse_unfit(["a", "b"], matches)
        assert refused.value.field == field, matches


def test_matches_are_recalled_by_headings_in_any_order(app: Flask) -> None:
    names = [*"dbacfe"]
    with writing() as current:
        import_matches.keep(current, SYSTEM, names, Remembered({"a": "name"}))
        # Another process must compute the same key, although its sets have another order.
        (key,) = current.scalars(select(ImportMatch.headings))
        assert key == hashlib.sha256(b"a\nb\nc\nd\ne\nf").hexdigest()
        assert import_matches.recall([*reversed(names), "problem"]).matches == {"a": "name"}


def keep(names: list[str], words: dict[str, str]) -> None:
    with writing() as current:
        remembered = Remembered({"name": "name"}, {"condition": words})
        import_matches.keep(current, SYSTEM, names, remembered)


def test_headings_used_again_are_kept_over_others(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_matches, "MOST_KEPT", 2)
    for number in (0, 1, 0, 2):
        keep(["name", f"x{number}"], {})
    kept = [bool(import_matches.recall(["name", f"x{number}"]).matches) for number in range(3)]
    assert kept == [True, False, True]


def test_the_audit_entry_of_many_matches_is_cut_off(app: Flask) -> None:
    names = [f"a heading of the file, number {number}" for number in range(30)]
    with writing() as current:
        import_matches.keep(current, SYSTEM, names, Remembered(dict.fromkeys(names, "name")))
        (entry,) = current.scalars(select(AuditEntry))
        assert entry.changes["matches"]["from"] is None
        assert len(entry.changes["matches"]["to"]) == 500
        key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
        assert (entry.target_id, entry.target_name) == (key[:16], ", ".join(names)[:120])
