"""The page linter finds each kind of fault."""

import pytest
from flask import Flask, render_template_string
from jinja2 import UndefinedError

from tests.support.lint.page_lint import lint

GOOD = """<!doctype html><html lang="en"><head><title>Webhooks · Asset register</title></head>
<body><main><h1>Webhooks</h1>{}</main></body></html>"""


def faults(inside: str) -> str:
    return "; ".join(lint(GOOD.format(inside)))


def test_a_good_page_passes() -> None:
    inside = """<form method="post" action="/x"><input type="hidden" name="csrf_token" value="t">
        <label for="n">Name</label><input id="n" aria-describedby="h"><p id="h">Hint</p>
        <button>Save</button></form><img src="data:image/png;base64,AA" alt="">
        <a href="https://example.com" rel="noreferrer">Elsewhere</a>"""
    assert faults(inside) == ""


FAULTY = [
    ("<h1>Again</h1>", "2 h1"),
    ('<span class="tag tag-grey">Off</span>', "of no known tone: tag-grey"),
    (
        '<div class="error-summary"><a href="#n">Enter a name</a></div><i id="n"></i>',
        "“Enter a name” is not shown at its field",
    ),
    ("<h3>Deep</h3>", "jumps from h1 to h3"),
    ("<div><p></div>", "closes <p>"),
    ('<form method="post" action="/x"></form>', "no csrf_token"),
    ('<form><input type="hidden" name="csrf_token" value="t"></form>', "in the address"),
    ('<i id="a"></i><i id="a"></i>', "is there 2 times"),
    (
        '<form><label>Password <input autocomplete="new-password"></label>'
        '<input type="hidden" autocomplete="username" value="a@example.com"></form>',
        "does not say whose password",
    ),
    ('<label for="b">B</label>', "missing id 'b'"),
    ('<a href="#nowhere">Jump</a>', "missing id 'nowhere'"),
    ('<input name="n">', "has no label"),
    ("<button></button>", "has no words"),
    ("<fieldset></fieldset>", "no legend"),
    ('<img src="/a.png">', "no alt"),
    ('<script src="https://cdn.example/x.js"></script>', "elsewhere"),
    ('<img alt="" src="//cdn.example/x.png">', "elsewhere"),
    ('<link rel="stylesheet" href="http://cdn.example/x.css">', "elsewhere"),
    ('<form action="https://evil.example/"></form>', "elsewhere"),
    ('<a href="https://example.com">Out</a>', "rel=noreferrer"),
    ('<a href="javascript:alert(1)">Go</a>', "javascript:"),
    ('<p style="color:red">Red</p>', "style of its own"),
    ("<style>p {}</style>", "style of its own"),
    ("<script>1</script>", "script in the page"),
    ('<p onclick="x()">Press</p>', "the handler onclick"),
    ("<table><caption>T</caption><tr><th>A</th></tr></table>", "no scope"),
    ("<table></table>", "no caption"),
    ("<h2>Sorry, no</h2>", "says “sorry”"),
    ("<p>The last message is there</p>", "says “message”"),
    ("<td>Next try in a minute</td>", "says “Next try”"),
    ('<p class="hint" id="n-hint">Blank is fine.</p>', "ends with a full stop"),
    ('<p class="field-error">Enter a name.</p>', "ends with a full stop"),
    ('<p class="lede">What there is</p>', "ends without a full stop"),
    ('<p class="error-summary">Oh</p>', "do not agree"),
    ('<p class="notice notice-success">Nothing was saved.</p>', "is told as a success"),
    ('<b class="tag-bax">Off</b>', "the class 'tag-bax', which no style or script knows"),
    ('<i spellcheck="off">I</i>', "spellcheck='off'"),
    ('<i data-dismay="off">I</i>', "data-dismay, which no style or script asks for"),
]


def test_each_fault_is_named() -> None:
    missed = [(inside, fault) for inside, fault in FAULTY if fault not in faults(inside)]
    assert missed == []


def test_quoted_text_is_not_linted() -> None:
    inside = "<pre><code>Too many tries, last message</code></pre><p>All tries.</p>"
    assert faults(inside).count("says") == 1


def test_the_title_must_start_with_the_heading() -> None:
    page = GOOD.replace("<title>Webhooks", "<title>Something")
    assert any("does not start with the h1" in fault for fault in lint(page.format("")))


def test_a_template_without_its_value_fails() -> None:
    for template in (
        *(
            "{{ name }}",
            "{% if name %}A{% endif %}",
            "{{ name or 'A' }}",
            "{% if name == 1 %}A{% endif %}",
        ),
        *("{% for each in name %}A{% endfor %}", "{{ name|length }}", "{{ name.part }}"),
    ):
        with Flask(__name__).app_context(), pytest.raises(UndefinedError):
            render_template_string(template)


def test_a_template_can_test_for_a_missing_value() -> None:
    asks = "{{ name|default('') }}{{ 'B' if name is defined }}{{ thing.name or '' }}"
    macro = "{% macro box() %}{{ caller() if caller else 'C' }}{% endmacro %}{{ box() }}"
    with Flask(__name__).app_context():
        assert render_template_string(asks + macro, thing={}) == "C"
