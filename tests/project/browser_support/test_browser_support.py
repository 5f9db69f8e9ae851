"""Firefox 115 ESR and Safari 16.4 have what our style sheets and scripts use, by MDN's data.

`table.json` is what `@mdn/browser-compat-data` says of just these; `make browser-support` renews
it.
"""

import json
from typing import Any, Final

from tests.project.browser_support.features import css_features, every_feature, js_features
from tests.project.browser_support.renew import TABLE

OLDEST: Final = {"firefox": (115,), "safari": (16, 4)}
HOW: Final = "not in table.json: run `make browser-support`"
# What an older browser passes over, and why nothing is lost.
ADORNMENT: Final = {
    "css property accent-color": "boxes and bars in the browser's own colour",
    "css property forced-color-adjust": "keeps keys of charts in their colour, where there are any",
    "css value forced-color-adjust: none": "the same",
    "css property scrollbar-width": "a thinner bar",
    "css value scrollbar-width: thin": "the same",
    "css property text-size-adjust": "stands after -webkit-text-size-adjust, which both have",
    "css property text-wrap": "lines of a heading of one length",
    "css value text-wrap: balance": "the same",
}


def features() -> dict[str, dict[str, Any]]:
    """What the table says of each."""
    found: dict[str, dict[str, Any]] = json.loads(TABLE.read_text("utf-8"))["features"]
    return found


def too_new(facts: dict[str, Any]) -> bool:
    """Whether one of the browsers lacks it."""
    return bool(facts) and any(
        facts[name] is False or tuple(map(int, facts[name].split("."))) > oldest
        for name, oldest in OLDEST.items()
    )


def test_browsers_of_two_years_ago_have_all_that_is_used() -> None:
    known, wrong = features(), []
    for file, feature in every_feature():
        if feature not in known:
            wrong.append(f"{file}: {feature} is {HOW}")
        elif too_new(known[feature]) and feature not in ADORNMENT:
            wrong.append(f"{file}: {feature} is too new: {known[feature]}")
    assert wrong == []


def test_the_table_says_where_it_is_from_and_no_exception_is_needless() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    assert (table["package"], bool(table["version"])) == ("@mdn/browser-compat-data", True)
    assert [each for each in ADORNMENT if not too_new(features().get(each, {}))] == []


def test_what_is_new_would_be_seen() -> None:
    css = """
    @media (width >= 40rem) and (prefers-contrast: more) { .a::details-content { inset: 0 } }
    .b { & > .c { color: light-dark(#fff, black); height: 10dvh; display: grid-lanes } }
    @supports selector(:has(a)) { .d:has(.e) { text-box: trim-both } }
    """
    assert css_features(css) == {
        "css at-rule @media",
        "css media width",
        "css media range",
        "css media prefers-contrast",
        "css selector :details-content",
        "css property inset",
        "css selector nesting",
        "css property color",
        "css value color: black",
        "css function light-dark()",
        "css property height",
        "css unit dvh",
        "css property display",
        "css value display: grid-lanes",
        "css at-rule @supports",
    }
    js = """
    // dialog.showModal() in a comment
    export const last = (rows) => rows?.findLast((row) => row.dataset.kind ?? "a.closest(b)");
    """
    assert js_features(js) == {
        "js syntax modules",
        "js syntax arrow functions",
        "js syntax optional chaining",
        "js syntax nullish coalescing",
        "js member findLast",
    }
    assert too_new({"firefox": "115", "safari": "17"})
    assert too_new({"firefox": False, "safari": "9"})
    assert not too_new({"firefox": "115", "safari": "16.4"})
