"""What is said once something was dismissed or brought back: one or many, and what goes out all
the same."""

import pytest

from portal.services.core.queries import COUNT_LIMIT
from portal.services.deliveries.dismissals import BroughtBack, ChosenCount, ProblemCount
from portal.web.deliveries import problems
from portal.web.frame.wording import counted

pytestmark = pytest.mark.usefixtures("in_a_request")
SHOWN = ' <a href="/deliveries/problems/dismissed">Show dismissed</a>'
AGAIN = "what fails again is a problem again."


@pytest.mark.parametrize(
    ("count", "queued", "said"),
    [
        (1, 0, "1 delivery stays Failed, and is no longer listed as a problem."),
        (3, 0, "3 deliveries stay Failed, and are no longer listed as a problem."),
        (
            3,
            1,
            "2 deliveries stay Failed, and are no longer listed as a problem. "
            f"1 more is being retried in a bulk retry: {AGAIN}",
        ),
        (
            3,
            2,
            "1 delivery stays Failed, and is no longer listed as a problem. "
            f"2 more are being retried in a bulk retry: {AGAIN}",
        ),
        (
            1,
            1,
            "1 delivery is no longer listed as a problem. "
            f"It is still being retried in a bulk retry: {AGAIN}",
        ),
        (
            2,
            2,
            "2 deliveries are no longer listed as a problem. "
            f"They are still being retried in a bulk retry: {AGAIN}",
        ),
        (
            COUNT_LIMIT,
            1,
            f"{counted(COUNT_LIMIT - 1)} deliveries stay Failed, and are no longer listed as a "
            "problem. "
            f"1 more is being retried in a bulk retry: {AGAIN}",
        ),
        (
            COUNT_LIMIT + 1,
            2,
            f"{counted(COUNT_LIMIT + 1)} deliveries stay Failed, and are no longer listed as a "
            "problem. "
            f"2 more are being retried in a bulk retry: {AGAIN}",
        ),
    ],
)
def test_of_a_problem_that_was_dismissed_it_is_said_how_many_stay_as_they_are(
    count: int, queued: int, said: str
) -> None:
    assert problems.dismissed(ProblemCount(count, queued)) == f"Dismissed. {said}{SHOWN}"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (
            ChosenCount(1, 0, 0),
            "1 delivery stays Failed, and is no longer listed as a problem.",
        ),
        (
            ChosenCount(2, 0, 1),
            "2 deliveries stay Failed, and are no longer listed as problems. "
            "1 was not listed as a problem.",
        ),
        (
            ChosenCount(0, 1, 2),
            "1 delivery is no longer listed as a problem. "
            f"It is still being retried in a bulk retry: {AGAIN} "
            "2 were not listed as problems.",
        ),
    ],
)
def test_of_deliveries_that_were_selected_it_is_said_which_were_left_out(
    done: ChosenCount, said: str
) -> None:
    assert problems.chosen_dismissed(done) == f"Dismissed. {said}{SHOWN}"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (BroughtBack(0, 0), "What was selected by itself stays dismissed."),
        (BroughtBack(1, 0), "1 delivery is listed as a problem again."),
        (
            BroughtBack(2, 1),
            "2 deliveries are listed as a problem again. "
            "1 was dismissed with a whole problem, and is still dismissed.",
        ),
        (
            BroughtBack(1, 2),
            "1 delivery is listed as a problem again. "
            "2 were dismissed with a whole problem, and are still dismissed.",
        ),
    ],
)
def test_of_what_was_brought_back_it_is_said_what_stays_dismissed(
    done: BroughtBack, said: str
) -> None:
    assert problems.chosen_brought_back(done) == f"Brought back. {said}"
    if not done.with_others:
        assert problems.brought_back(done.count) == f"Brought back. {said}"
