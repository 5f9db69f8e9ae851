"""The reader of pages: what people see of a page is in its text, and nothing else."""

from tests.support.golden.page_text import page_text
from tests.support.html import parse

SAID = [
    ("<h2>Held <small>3</small></h2>", "## Held 3"),
    ('<p>See <a href="/a?b=1">the log</a>, now</p>', "See [the log](/a?b=1), now"),
    ('<a href="/a" aria-current="page">All</a>', "[All](/a) (here)"),
    ('<p><span class="tag tag-danger">Failed</span>twice</p>', "<Failed !!> twice"),
    ('<p><span class="tag tag-neutral">Held</span></p>', "<Held>"),
    ('<p><span class="status is-bad">Failing</span></p>', "<Failing !!>"),
    ('<div class="notice notice-warning"><p>Look</p></div>', "! Look"),
    ("<dl><dt>URL</dt><dd>https://a.example</dd></dl>", "URL: https://a.example"),
    ("<ul><li>One<ul><li>Two</li></ul></li></ul>", "- One\n  - Two"),
    ("<details><summary>More</summary><p>Less</p></details>", "▸ More\n  Less"),
    ("<pre><code>{\n  1\n}</code></pre>", "{\n      1\n    }"),
    ('<nav aria-label="Tabs"><ul><li>A</li><li>B</li></ul></nav>', "Tabs: A · B"),
    (
        "<table><caption>T</caption><tr><th>A</th><td>b</td></tr></table>",
        "Table: T\n| A | b |",
    ),
    ('<form method="post" action="/x"><button>Go</button></form>', "[ Go ] → POST /x"),
    ('<p><button class="btn btn-danger">Delete</button></p>', "[!! Delete ]"),
    ('<p><a class="btn btn-danger" href="/x">Delete</a></p>', "[!! Delete](/x)"),
    ('<p id="h" class="hint">Why</p>', "hint: Why"),
    ('<input aria-label="Tick" type="checkbox" checked>', "[x] Tick"),
]
ASKED = [
    ('<input id="a" value="v">', "Name: “v”"),
    ('<textarea id="a" rows="3">v</textarea>', "Name: “v” {rows 3}"),
    (
        '<input id="a" type="url" spellcheck="false" maxlength="9" class="width-short">',
        "Name: “” {type url, maxlength 9, spellcheck false, short}",
    ),
    ('<input id="a" type="file" accept=".csv">', "Name: a file {accept .csv}"),
    ('<input id="a" type="checkbox">', "[ ] Name"),
    ('<input id="a" type="radio" checked>', "(o) Name"),
    (
        '<select id="a"><option>1</option><option selected>2</option></select>',
        "Name: “2” of 1, 2",
    ),
    ('<select id="a"><option>1</option><option>2</option></select>', "Name: “1” of 1, 2"),
]
UNSEEN = [
    "<script>x</script>",
    "<template><p>x</p></template>",
    '<input type="hidden" value="x">',
    "<button hidden>x</button>",
    "<svg><title>x</title></svg>",
]


def text(html: str) -> str:
    return page_text(parse(f"<main>{html}</main>")[0]).strip()


def test_it_writes_what_is_said() -> None:
    assert [(html, text(html)) for html, _ in SAID] == SAID


def test_a_field_stands_with_its_label_and_what_is_in_it() -> None:
    label = '<label for="a">Name</label>'
    assert [(control, text(label + control)) for control, _ in ASKED] == ASKED


def test_what_nobody_sees_is_left_out() -> None:
    assert {text(f"<p>Seen</p>{html}") for html in UNSEEN} == {"Seen"}
