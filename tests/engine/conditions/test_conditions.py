"""Conditions of webhooks: matching events, input checks, and sentences."""

import json
from decimal import Decimal
from typing import Any

import pytest

from portal.engine.conditions.facts import Facts, facts_of
from portal.engine.conditions.predicate import (
    CHOICES,
    OPERATORS,
    UNKNOWN,
    Condition,
    ConditionError,
    Operator,
    are_met,
    as_text,
    conditions_in,
    entered,
    first_unmet,
)
from portal.engine.conditions.sentences import ASSET_STATUSES, WORDS, fact_sentence, sentence_of
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.models.assets import AssetStatus
from portal.services.assets.fields import ASSET_FIELDS

EVERY = frozenset(EventName)
ALERTS = frozenset(event for event in EventName if event.startswith("alert."))
STOCK = frozenset({EventName.LOW_STOCK})
OUT = frozenset({EventName.CHECKED_OUT, EventName.CHECKOUT_OVERDUE})
MOVED = frozenset({EventName.REVOKED, EventName.TRANSFERRED})
RETURNED = frozenset({EventName.REVOKED, EventName.CHECKED_IN})
OTHER_HOLDER = RETURNED | {EventName.ALLOCATED, EventName.CHECKED_OUT}
ENDED = frozenset(
    {EventName.LOST, EventName.BROKEN, EventName.WARRANTY, EventName.LIQUIDATED},
)
OTHER_STATUS = OTHER_HOLDER | ENDED | {EventName.MAINTENANCE_COMPLETED}
# Condition → the events whose samples meet it. The laptop is in category 1 at location 3, or at
# location 5 after a return or a transfer. The toner is in category 4 at location 5 without a cost.
MET = {
    ("category", "is", "1"): EVERY - STOCK,
    ("category", "is", "1", "4"): EVERY,
    ("category", "is_not", "1"): STOCK,
    ("location", "is", "5"): MOVED | STOCK,
    ("location", "is_not", "5"): EVERY - MOVED - STOCK,
    ("status", "is", "checked_out"): OUT,
    ("status", "is_not", "checked_out", "available"): ENDED | {EventName.ALLOCATED},
    ("tag", "is", "ast-00208"): STOCK,
    ("tag", "is_not", "ast-00208"): EVERY - STOCK,
    ("tag", "begins", "Ast-001"): EVERY - STOCK,
    ("tag", "contains", "0020", "zz"): STOCK,
    ("name", "is", "THINKPAD T14"): EVERY - STOCK,
    ("name", "is_not", "thinkpad t14"): STOCK,
    ("name", "begins", "TONER"): STOCK,
    ("name", "contains", ", BLACK"): STOCK,
    ("cost", "at_least", "1249.00"): EVERY - STOCK,
    ("cost", "at_least", "1249.01"): frozenset(),
    ("cost", "at_most", "1249.00"): EVERY - STOCK,
    ("cost", "at_most", "1248.99"): frozenset(),
    ("origin", "is", "cron"): ALERTS,
    ("origin", "is_not", "bulk", "import"): EVERY,
    ("changed", "is", "status"): OTHER_STATUS,
    ("changed", "is", "location"): RETURNED | {EventName.TRANSFERRED},
    ("changed", "is", "holder"): OTHER_HOLDER,
    ("changed", "is", "name", "unit"): frozenset({EventName.UPDATED}),
}


def text_of(field: str, operator: str, *values: str) -> str:
    return as_text([Condition(field, operator, values)]) or ""


def without_facts(event: EventName) -> bytes:
    """Return a body in which each optional value is null or of another kind."""
    body = json.loads(sample_body(event))
    strange: dict[str, Any] = {"id": 7, "purchase_cost": "much", "category": {"id": True}}
    return json.dumps({"event": body["event"], "asset": strange, "data": None}).encode()


def test_each_condition_matches_exactly_its_events() -> None:
    wrong = []
    for condition, events in MET.items():
        text = text_of(*condition)
        matching = {event for event in EventName if are_met(text, facts_of(sample_body(event)))}
        if matching != events:
            wrong.append((condition, sorted(matching ^ events)))
    assert wrong == []
    used = {(field, operator) for field, operator, *_ in MET}
    assert used == {(field, op) for field, ops in OPERATORS.items() for op in ops}


def test_a_missing_fact_meets_only_is_not() -> None:
    by_name = OTHER_HOLDER | {EventName.TRANSFERRED}  # the event's name alone tells the change
    bodies = [without_facts(event) for event in EventName if event not in by_name]
    for event in by_name:
        assert facts_of(without_facts(event)).changed in ({"holder"}, {"location"}), event
    bodies += [b"", b"[]", b"{", b"null", b'{"asset": [], "data": 3}', b'{"event": []}']
    for body in bodies:
        facts = facts_of(body)
        for condition in MET:
            is_met = condition[1] == Operator.IS_NOT
            assert are_met(text_of(*condition), facts) is is_met, (body, condition)


def test_no_event_meets_conditions_of_another_version() -> None:
    facts = facts_of(sample_body(EventName.CREATED))
    for text in (
        *("{", "[3]", '{"a": 1}', '[["tag"]]', '[["holder", "is", ["3"]]]'),
        *('[["tag", "like", ["A"]]]', '[["tag", "is", []]]', '[["cost", "at_least", ["NaN"]]]'),
        '[["cost", "at_least", ["much"]]]',
    ):
        assert not are_met(text, facts), text
        assert first_unmet(text, facts) is not None
    assert conditions_in("{") == (UNKNOWN,)
    assert sentence_of(UNKNOWN, {}) == "A condition from another version"


def test_all_conditions_must_hold_and_the_first_unmet_is_named() -> None:
    laptops = Condition("category", "is", ("1",))
    high, low = Condition("cost", "at_least", ("1000.00",)), Condition("cost", "at_most", ("9",))
    facts = facts_of(sample_body(EventName.CREATED))
    assert are_met(as_text([laptops, high]), facts)
    assert first_unmet(as_text([laptops, high]), facts) is None
    assert first_unmet(as_text([laptops, low, high]), facts) == low
    assert are_met(None, facts)
    assert first_unmet(None, facts) is None


def test_created_and_deleted_assets_have_no_changed_fields() -> None:
    for event in (EventName.CREATED, EventName.DELETED):
        body = json.loads(sample_body(event))
        body["data"] |= {"status_from": "lost", "status_to": "available", "changed_fields": ["a"]}
        assert facts_of(json.dumps(body).encode()).changed == frozenset(), event


@pytest.mark.parametrize(
    ("given", "part", "sentence"),
    [
        (("holder", "is", ["1"]), "field", "Choose a field from the list"),
        (("tag", "like", ["A"]), "operator", "Choose a comparison from the list"),
        (("cost", "is", ["3"]), "operator", "Choose a comparison from the list"),
        (("tag", "is", []), "value", "Enter a value"),
        (("tag", "is", ["", ""]), "value", "Enter a value"),
        (("category", "is", []), "value", "Choose a value"),
        (("tag", "is", [str(n) for n in range(21)]), "value", "Choose at most 20"),
        (("tag", "is", ["x" * 121]), "value", "Enter at most 120 characters"),
        (("tag", "is", ["a\nb"]), "value", "Use only letters, digits, and punctuation"),
        (("category", "is", ["Laptops"]), "value", "Choose values from the list"),
        (("category", "is", ["9999999999"]), "value", "Choose values from the list"),
        (("status", "is", ["stolen"]), "value", "Choose values from the list"),
        (("origin", "is", ["robot"]), "value", "Choose values from the list"),
        (("cost", "at_least", ["1", "2"]), "value", "Enter one amount"),
        (
            ("cost", "at_least", ["1.250"]),
            "value",
            "Enter the amount as 1250.00 or 1.25. The point can separate thousands or decimals",
        ),
    ],
)
def test_a_bad_condition_is_refused_at_its_part(
    given: tuple[str, str, list[str]], part: str, sentence: str
) -> None:
    with pytest.raises(ConditionError) as refused:
        entered(*given)
    assert (refused.value.part, refused.value.sentence) == (part, sentence)


def test_an_entered_condition_is_normalized() -> None:
    assert entered("cost", "at_least", ["1.250,50"]).values == ("1250.50",)
    assert entered("tag", "is", ["A", "", "A", "b"]).values == ("A", "b")
    kept = [entered("cost", "at_most", ["3"]), entered("name", "is", ["Größe 4"])]
    assert list(conditions_in(as_text(kept))) == kept
    assert as_text([]) is None
    assert conditions_in(None) == ()


def test_a_condition_reads_as_a_sentence() -> None:
    names = {("category", "1"): "Laptops", ("category", "2"): "Phones", ("location", "5"): "Store"}
    for condition, sentence in (
        (("category", "is", ("1", "2")), "Category is Laptops or Phones"),
        (("location", "is_not", ("5",)), "Location isn’t Store"),
        (("location", "is", ("6",)), "Location is (deleted)"),
        (("cost", "at_least", ("1000.00",)), "Purchase cost is at least 1,000"),
        (("cost", "at_most", ("1249.50",)), "Purchase cost is at most 1,249.50"),
        (("tag", "begins", ("LAP", "PC", "X")), "Asset tag begins with LAP, PC, or X"),
        (("changed", "is", ("warranty_expires",)), "Changed field is Warranty ends"),
        (("origin", "is", ("import",)), "Made by an import"),
        (("origin", "is_not", ("bulk", "import")), "Not made by a bulk action or an import"),
    ):
        assert sentence_of(Condition(*condition), names) == sentence
    facts = Facts(category="1", cost=Decimal("899.00"), changed=frozenset({"unit", "status"}))
    fields = ("category", "cost", "changed", "tag")
    assert [fact_sentence(field, facts, names) for field in fields] == [
        "The category was Laptops",
        "The purchase cost was 899",
        "The changed fields were Status and Unit",
        "The asset has no asset tag",
    ]


def test_condition_words_match_the_asset_register() -> None:
    labels = {field.name: field.label for field in ASSET_FIELDS}
    for name, word in WORDS["changed"].items():
        assert word == labels.get(name, word), name
    assert labels.keys() <= WORDS["changed"].keys()
    assert set(ASSET_STATUSES) == set(AssetStatus) == set(CHOICES["status"])
