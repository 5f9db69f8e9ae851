"""Each kind of fault by examples: what stands in a file, and what may stand there instead."""

import pytest

from tests.mutants.operators import WEIGHTS
from tests.mutants.sample import mutants_of
from tests.mutants.source import Module

EXAMPLES = [
    ("bound_moved", "def f(): return a < b", ["def f(): return a <= b"]),
    ("bound_moved", "x = not (a) >= b", ["x = not (a) > b"]),
    ("bound_moved", "x = Row.sent_at < now", []),
    ("comparison_turned", "x = a is not None", ["x = a is None"]),
    ("comparison_turned", "x = a not in b", ["x = a in b"]),
    ("condition_turned", "x = a if b() else c", ["x = a if (not b()) else c"]),
    ("operand_dropped", "x = a and b", ["x = b", "x = a"]),
    (
        "operand_dropped",
        "x = (a or b) or c",
        ["x = c", "x = (a or b)", "x = (b) or c", "x = (a) or c"],
    ),
    ("and_or", "x = a and not b", ["x = (a or not b)"]),
    ("not_dropped", "x = not a", ["x = a"]),
    ("choice_dropped", "x = a if b else c", ["x = a", "x = c"]),
    ("condition_dropped", "x = [a for a in b if c]", ["x = [a for a in b if True]"]),
    (
        "guard_removed",
        "def f():\n    if a:\n        return\n    b()",
        ["def f():\n    pass\n    b()"],
    ),
    ("branch_emptied", "if a:\n    b()\n    c()", ["if a:\n    pass"]),
    (
        "branch_emptied",
        "if a:\n    b()\nelse:\n    c()",
        ["if a:\n    pass\nelse:\n    c()", "if a:\n    b()\nelse:\n    pass"],
    ),
    ("number_moved", "x = 1", ["x = 2"]),
    ("number_moved", "x = 600", ["x = 1200"]),
    ("sign_turned", "x = a + b", ["x = a - b"]),
    ("sign_turned", "x = a + 'text'", []),
    ("step_dropped", "x = a[: n + 1]", ["x = a[: n]"]),
    ("extreme_turned", "x = min(a, b)", ["x = max(a, b)"]),
    ("extreme_dropped", "x = min(a, b)", ["x = a", "x = b"]),
    ("slice_dropped", "x = a[:n]", ["x = a"]),
    ("slice_moved", "x = a[:n]", ["x = a[:(n - 1)]"]),
    ("call_dropped", "a.b(c)", ["pass"]),
    ("call_dropped", "log.info('a')", []),
    ("wrapper_dropped", "x = masked(a)", ["x = a"]),
    ("wrapper_dropped", "x = Masked(a)", []),
    ("method_dropped", "x = a.b.strip()", ["x = a.b"]),
    ("keyword_dropped", "a(b, c=d, e=f)", ["a(b, e=f)", "a(b, c=d)"]),
    ("arguments_swapped", "a(b, c.d, 'e')", ["a(c.d, b, 'e')"]),
    ("decorator_dropped", "@a('b')\n@cache\ndef f(): c", ["# none\n@cache\ndef f(): c"]),
    ("where_dropped", "x = a.where(b)", ["x = a"]),
    ("where_dropped", "x = a.where(b, c)", ["x = a.where(c)", "x = a.where(b)"]),
    ("order_turned", "x = a.desc()", ["x = a"]),
    ("order_turned", "x = sorted(a, key=b)", ["x = list(a)"]),
    ("limit_dropped", "x = a.limit(b).all()", ["x = a.all()"]),
    ("lock_dropped", "x = a.with_for_update()", ["x = a"]),
    ("lock_dropped", "x = a.get(B, c, with_for_update=True)", ["x = a.get(B, c)"]),
    ("lock_dropped", "with a:\n    b()", ["if True:\n    b()"]),
    (
        "column_mistaken",
        "x = A.due_at\ny = A.name\nz = A.sent_at",
        ["x = A.sent_at\ny = A.name\nz = A.sent_at", "x = A.due_at\ny = A.name\nz = A.due_at"],
    ),
    ("assignment_dropped", "a.b = c", ["pass"]),
    ("assignment_dropped", "a = b", []),
    ("part_of_assignment_dropped", "a.b, a.c = d, e", ["a.c = e", "a.b = d"]),
    ("result_turned", "def f(): return True", ["def f(): return False"]),
    ("result_dropped", "def f(): return a", ["def f(): return None"]),
    ("raise_removed", "raise a", ["pass"]),
    ("loop_left", "while a:\n    continue", ["while a:\n    break"]),
    (
        "exception_forgotten",
        "try: a\nexcept (B, C): d",
        ["try: a\nexcept C: d", "try: a\nexcept B: d"],
    ),
    ("end_forgotten", "try: a\nfinally: b", ["try: a\nfinally: pass"]),
    ("entry_dropped", "x = {a: b, c: d}", ["x = {c: d}", "x = {a: b}"]),
    ("entry_dropped", "x = [a, b]", ["x = [b]", "x = [a]"]),
    ("entry_dropped", "x = a, b", []),
    ("entries_swapped", "x = {a: b, c: d}", ["x = {a: d, c: b}"]),
    ("flag_turned", "a(b=True)", ["a(b=False)"]),
    ("word_changed", "x = 'due'", ["x = 'due_'"]),
    ("word_changed", "x = 'It is due.'", []),
]


def changed(kind: str, text: str) -> list[str]:
    module = Module("portal/some.py", text)
    return [each.text(module) for each in mutants_of(module) if each.kind == kind]


@pytest.mark.parametrize(("kind", "text", "others"), EXAMPLES)
def test_each_kind_of_fault_changes_what_it_says(kind: str, text: str, others: list[str]) -> None:
    assert changed(kind, text) == others


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == {operator.__name__ for operator in WEIGHTS}


@pytest.mark.parametrize(
    "text",
    [
        '"""Text."""',
        "__all__ = ['a', 'b']",
        "if TYPE_CHECKING:\n    from a import b",
        "def f(a: dict[str, int]) -> 'B': ...",
        "Name: TypeAlias = dict[str, int]",
        "x = f'{a + 1}'",
        "@dataclass(frozen=True)\nclass A: ...",
        "log.warning('Less than %s.', a < b)",
    ],
)
def test_what_is_no_fault_of_a_person_is_left_alone(text: str) -> None:
    assert list(mutants_of(Module("portal/some.py", text))) == []


def test_letters_of_several_bytes_before_it_do_not_move_a_change() -> None:
    assert changed("bound_moved", "x = 'Größe', ä < b") == ["x = 'Größe', ä <= b"]
