"""Conditions on the webhook form."""

from typing import Any

import pytest
from flask import Flask

from portal.engine.conditions.predicate import Condition, as_text, conditions_in
from portal.engine.events.catalogue import EventName
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session
from portal.services.webhooks import would_have_gone
from tests.support.factories import make_category, make_location, make_webhook, publish
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

NEW = "/settings/webhooks/new"
ENTERED = {"name": "ERP", "url": "https://erp.example.com/hook", "events": ["asset.created"]}


def kept() -> tuple[Condition, ...]:
    current = session()
    current.rollback()
    return conditions_in(current.query(Webhook.conditions).scalar())


def add_row(pages: Pages, page: Page, about: str) -> Page:
    return pages.submit(page.form(NEW), "Add condition", condition_on=about, **ENTERED)


def send(pages: Pages, *rows: tuple[str, str, list[str]], button: str = "Save webhook") -> Page:
    """Submit a form with these conditions, as a script would."""
    entered: dict[str, Any] = {**ENTERED, "secret_mode": "none"}
    for number, (field, operator, values) in enumerate(rows):
        entered[f"conditions-{number}-field"] = field
        entered[f"conditions-{number}-operator"] = operator
        entered[f"conditions-{number}-value"] = values
    return pages.submit(pages.get(NEW).form(NEW), button, **entered)


def test_conditions_are_edited_without_scripts_and_shown_as_sentences(pages: Pages) -> None:
    laptops, phones = make_category("Laptops"), make_category("Phones")
    page = add_row(pages, pages.get(NEW), "cost")
    page = pages.submit(page.form(NEW), "Add condition", condition_on="category")
    page = pages.submit(page.form(NEW), "Add condition", condition_on="tag")
    form = page.form(NEW)
    assert [form.fields[f"conditions-{n}-field"] for n in range(3)] == [
        ["cost"],
        ["category"],
        ["tag"],
    ]
    typed = {
        "conditions-0-operator": "at_least",
        "conditions-0-value": "1.250,50",
        "conditions-1-operator": "is",
        "conditions-1-value": [str(laptops), str(phones)],
    }
    page = pages.submit(form, "Remove condition 3", **typed)
    form = page.form(NEW)
    assert form.fields["conditions-1-value"] == [str(laptops), str(phones)]
    assert "conditions-2-field" not in form.fields
    page = pages.submit(form, secret_mode="none")
    assert kept() == (
        Condition("cost", "at_least", ("1250.50",)),
        Condition("category", "is", (str(laptops), str(phones))),
    )
    assert "Purchase cost is at least 1,250.50" in page.main
    assert "Category is Laptops or Phones" in page.main
    history = pages.get(f"{page.path}/history").main
    assert "Purchase cost is at least 1,250.50 and Category is Laptops or Phones" in history
    assert "Purchase cost is at least 1,250.50 and" in pages.get("/settings/audit").main
    path = f"{page.path}/edit"
    pages.submit(pages.get(path).form(path), "Save webhook", name="ERP 2")
    assert len(kept()) == 2


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (("holder", "is", ["3"]), "value"),
        (("tag", "like", ["A"]), "operator"),
        (("cost", "is", ["3"]), "operator"),
        (("tag", "is", []), "value"),
        (("tag", "is", [str(n) for n in range(21)]), "value"),
        (("tag", "is", ["x" * 121]), "value"),
        (("cost", "at_least", ["1.250"]), "value"),
        (("status", "is", ["stolen"]), "value"),
        (("category", "is", ["77"]), "value"),
        (("category", "is", ["Laptops"]), "value"),
    ],
)
def test_an_invalid_condition_is_refused_at_its_field_and_kept(
    pages: Pages, row: tuple[str, str, list[str]], field: str
) -> None:
    page = send(pages, row)
    assert (page.status, page.wrong) == (400, [f"conditions-0-{field}"])
    assert session().query(Webhook).count() == 0
    if row[0] in ("tag", "cost"):
        assert page.form(NEW).fields["conditions-0-value"][0].splitlines() == row[2]


def test_an_eleventh_condition_is_refused_and_none_is_lost(pages: Pages) -> None:
    rows = [("tag", "begins", [f"A{n}"]) for n in range(11)]
    page = send(pages, *rows)
    assert "Enter at most 10 conditions" in page.errors
    form = page.form(NEW)
    assert form.fields["conditions-10-value"] == ["A10"]
    pages.submit(form, "Remove condition 1")
    assert send(pages, *rows[:10]).status == 200
    assert len(kept()) == 10


def test_several_values_are_entered_one_per_line(pages: Pages) -> None:
    send(pages, ("tag", "begins", ["LAP\r\n  PC \r\n\r\nLAP"]))
    assert kept() == (Condition("tag", "begins", ("LAP", "PC")),)


def test_a_test_keeps_conditions_but_ignores_them(pages: Pages) -> None:
    store = make_location("Store")
    page = send(pages, ("location", "is_not", [str(store)]), button="Send test")
    assert page.path.startswith("/settings/webhooks/test/")
    page = pages.submit(page.form(NEW), "Save webhook")
    assert kept() == (Condition("location", "is_not", (str(store),)),)


def test_a_stale_edit_shows_both_conditions(app: Flask, pages: Pages) -> None:
    laptops = make_category("Laptops")
    text = as_text([Condition("category", "is", (str(laptops),))])
    path = f"/settings/webhooks/{make_webhook(conditions=text).public_id}/edit"
    mine = pages.get(path).form(path)
    other_pages = visit(app)
    other_pages.submit(other_pages.get(path).form(path), "Remove condition 1")
    theirs = other_pages.submit(other_pages.get(path).form(path), "Remove condition 1")
    other_pages.submit(theirs.form(path), "Save webhook", secret_mode="none")
    assert kept() == ()
    page = pages.submit(mine, "Save webhook", name="Other", **{"conditions-0-operator": "is_not"})
    assert page.status == 409
    assert ["Conditions", "—", "Category isn’t Laptops"] in page.rows()
    pages.submit(page.form(), "Save my version")
    assert kept() == (Condition("category", "is_not", (str(laptops),)),)


def test_a_form_with_too_many_rows_comes_back_with_twenty(pages: Pages) -> None:
    many = [("location", "is", ["7"])] * 300
    for button in ("Save webhook", "Add condition"):
        page = send(pages, *many, button=button)
        assert "conditions-19-field" in page.form(NEW).fields
        assert "conditions-20-field" not in page.form(NEW).fields
        assert (page.status, "Enter at most 10 conditions" in page.main) == (400, True), button


def test_past_events_are_counted_without_saving(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for asset_id in range(1, 13):
        publish(asset_id=asset_id)
    page = send(pages, ("tag", "begins", ["AST-0001"]), button="Count past events")
    assert "3 of 12 subscribed events since " in page.main
    assert "With them" not in page.main  # some of each kind
    assert "AST-00012" in page.main
    assert not page.links("AST-00012")  # following a link would lose the input
    assert page.form(NEW).fields["conditions-0-value"][0].strip() == "AST-0001"
    assert session().query(Webhook).count() == 0
    publish(EventName.LOST)
    form = page.form(NEW)
    page = pages.submit(form, "Count past events", events=[EventName.CREATED, EventName.LOST])
    assert "With them, this webhook wouldn’t have gotten: Asset lost." in page.main
    monkeypatch.setattr(would_have_gone, "MOST_READ", 1)
    page = send(pages, button="Count past events")
    assert "No event of the selected kinds is among the newest 1." in page.main
    page = send(pages, ("tag", "begins", []), button="Count past events")
    assert page.wrong == ["conditions-0-value"]
    assert "Condition 1: enter a value" in page.errors


def test_a_stored_amount_is_shown_as_people_type_it(pages: Pages) -> None:
    text = as_text([Condition("cost", "at_least", ("1250.00",))])
    path = f"/settings/webhooks/{make_webhook(conditions=text).public_id}/edit"
    page = pages.get(path)
    assert page.form(path).fields["conditions-0-value"] == ["1,250.00"]
    assert "EUR" in page.main
    pages.submit(page.form(path), "Save webhook", name="ERP 2")
    assert kept() == (Condition("cost", "at_least", ("1250.00",)),)


@pytest.mark.parametrize("many", [0, 1, 2])
def test_the_folded_section_says_how_many_conditions_there_are(pages: Pages, many: int) -> None:
    page = send(pages, *[("tag", "is", ["A"])] * many, button="Count past events")
    words = {0: "Every selected event. Add conditions", 1: "1 condition", 2: "2 conditions"}
    fold = next(node for node in page.root.walk() if node.get("id") == "conditions-fold")
    assert fold.text == words[many]


def test_a_webhook_is_copied_without_its_key_and_header_values(pages: Pages) -> None:
    hook = make_webhook(
        name="ERP",
        secret="my own long pass phrase 4f2a",
        headers=[("X-Token", "Bearer abcdefghijkl")],
        conditions=as_text([Condition("tag", "begins", ("LAP",))]),
        in_order=True,
    )
    pages.get(f"/settings/webhooks/{hook.public_id}")
    page = pages.follow("Copy webhook")
    assert "Copy of ERP. The secret key and header values aren’t copied." in page.main
    form = page.form(NEW)
    assert (form.fields["name"], form.fields["url"]) == (["ERP (copy)"], [hook.url])
    assert form.fields["secret_mode"] == ["generate"]
    assert form.fields["headers-0-name"] == ["X-Token"]
    assert "abcdefghijkl" not in page.html
    page = pages.submit(form)
    assert page.wrong == ["headers-0-value"]
    pages.submit(page.form(NEW), **{"headers-0-value": "Bearer of another key"})
    current = session()
    current.rollback()
    copied = current.query(Webhook).filter_by(name="ERP (copy)").one()
    assert (copied.conditions, copied.in_order) == ('[["tag","begins",["LAP"]]]', True)
    assert pages.get(f"{NEW}?copy=nothing").status == 200


def test_the_key_question_keeps_the_conditions(pages: Pages) -> None:
    text = as_text([Condition("tag", "begins", ("LAP", "PC"))])
    hook = make_webhook(secret="the old secret", conditions=text)
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = pages.submit(pages.get(path).form(path), secret_mode="generate")
    assert page.h1 == "Replace the secret key?"
    pages.submit(page.form(path))
    assert kept() == (Condition("tag", "begins", ("LAP", "PC")),)
