"""What a next step takes, and what those read who may not take it."""

import re
from collections.abc import Iterator
from pathlib import Path

from portal.engine.next_steps import ASK, step_after
from portal.engine.reasons import Reason, alike, explain
from portal.services.core.permissions import EVERYONE, PERMISSIONS
from tests.support.golden.expected_file import Golden

REASONS = Path(__file__).parent / "golden" / "reasons.txt"

# What somebody without any permission can do by themselves: look, ask and pass on.
FREE = {
    *(Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.RESET, Reason.NO_REPLY),
    *(Reason.TLS_EXPIRED, Reason.TLS_UNTRUSTED, Reason.BAD_REQUEST, Reason.FORBIDDEN),
    *(Reason.CONFLICT, Reason.TOO_LARGE, Reason.OTHER_4XX, Reason.SERVER, Reason.UNAVAILABLE),
    *(Reason.INTERRUPTED, Reason.REFUSED, Reason.RATE),
}


def test_every_step_that_takes_a_permission_says_so() -> None:
    steps = {reason: step_after(reason, reference="7f3a") for reason in Reason}
    assert {reason for reason, step in steps.items() if step is None} == FREE
    for step in filter(None, steps.values()):
        assert PERMISSIONS[step.permission] != EVERYONE
        for sentence in filter(None, (step.others, step.own)):
            assert re.fullmatch(r"\S.*\.", sentence)
            assert not re.search(r"\{(?!ask\})", sentence)
        assert ASK in step.others
        assert ASK not in step.own


def test_a_step_without_a_permission_asks_for_nothing_that_takes_one() -> None:
    for reason in FREE:
        told = explain(reason, host="a.example").next_step
        assert not re.search(r"\b([Ee]dit|[Rr]etry|[Tt]urn|administrator|header)\b", told)


def told_of(reason: Reason) -> Iterator[str]:
    """What is said of a reason, with all facts and with none."""
    facts = {"location": "https://b.example/", "reference": "7f3a", "time": "10:42"}
    full = explain(reason, host="a.example", seconds=5, **facts)
    yield f"# {reason}: {full.title}; {full.side.label}; {full.group.label}"
    yield f"{full.what_happened} {full.next_step}"
    bare, step = explain(reason, host=""), step_after(reason)
    yield f"- {bare.what_happened} {bare.next_step}"
    words = step._asdict().items() if step else ()
    yield from (f"  {name}: {text}" for name, text in words if text)
    yield f"As {', '.join(alike(reason))}."


def test_what_is_said_of_each_reason_is_written_down(golden: Golden) -> None:
    texts = ["\n".join(told_of(reason)) for reason in Reason]
    golden.text(REASONS, "\n\n".join(texts) + "\n")


def test_an_administrator_is_not_sent_to_an_administrator() -> None:
    for reason in Reason:
        step = step_after(reason, reference="7f3a")
        own = (step.own if step else "") or explain(reason, host="a.example").next_step
        assert "administrator" not in own, reason
    internal = step_after(Reason.INTERNAL, reference="7f3a")
    assert internal
    assert internal.own == "Check this portal’s logs for 7f3a."
