"""The page of a task: its progress, Stop, and its result, with and without scripts."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import tasks as job
from portal.lib.clock import utcnow
from portal.models.tasks import Task
from portal.services import task_kinds, tasks
from portal.services import tasks as task_leases
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.tasks import Kind, Step
from portal.web.tasks import presenter as task_presenter
from portal.web.tasks.presenter import TaskWords
from tests.support.pages import Page
from tests.web.signed_in import visit


def count_ten(_current: object, task: Task) -> Step:
    task.count("counted", 10)
    return tasks.DONE if task.done == task.total else tasks.MORE


KIND = Kind(name="counting", permission="assets.edit", step=count_ten)
WORDS = TaskWords(
    title=lambda _task: "Count to thirty",
    outcomes={"counted": "counted", "lost": "lost"},
    failures=("lost",),
    undone=("was lost", "were lost"),
    after=lambda _task: [("See what was counted", "/assets")],
)


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_kinds, "KINDS", {"counting": KIND})
    monkeypatch.setattr("portal.web.tasks.views.KINDS", {"counting": KIND})
    monkeypatch.setattr(task_presenter, "WORDS", {"counting": WORDS})


def count_most(_current: object, task: Task) -> Step:
    task.count("counted", 28)
    task.count("lost", 2)
    return tasks.DONE


def tones(page: Page) -> set[str]:
    """Return the tag and notice classes in which the page shows the result."""
    classes = {name for node in page.root.walk() for name in node.get("class").split()}
    return {name for name in classes if name.startswith(("tag-", "notice-"))} - {"notice-title"}


def start() -> str:
    with writing() as current:
        return f"/tasks/{tasks.start(current, SYSTEM, 'counting', total=30).public_id}"


def test_an_unknown_task_is_not_found(app: Flask) -> None:
    page = visit(app).get(f"/tasks/{uuid4()}")
    assert page.status == 404


def test_a_task_without_words_is_titled_by_its_kind(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = replace(KIND, name="count_ten")
    monkeypatch.setattr("portal.web.tasks.views.KINDS", {kind.name: kind})
    with writing() as current:
        path = f"/tasks/{tasks.start(current, SYSTEM, kind.name, total=30).public_id}"
    assert visit(app).get(path).h1 == "Count ten"


def test_the_page_shows_a_waiting_task_and_its_result(app: Flask) -> None:
    path, pages = start(), visit(app)
    page = pages.get(path)
    assert page.h1 == "Count to thirty"
    assert page.links("Refresh this page") == [path]
    job.work({"counting": KIND})
    page = pages.get(path)
    assert "30 of 30 30 counted." in page.main
    assert tones(page) == {"tag-success"}
    assert page.links("See what was counted") == ["/assets"]
    assert "Stop" not in page.main


def test_the_live_part_returns_progress_and_the_end(app: Flask) -> None:
    path, pages = start(), visit(app)
    turn = task_leases.claim()
    assert turn is not None
    task_leases.advance(turn, KIND)
    with writing() as current:
        task = current.get(Task, turn.task_id)
        assert task is not None
        task.started_at = utcnow() - timedelta(minutes=2)
    news = pages.client.get(f"{path}/live").get_json()
    assert "10 of 30 done." in news["html"]
    assert "About 4 minutes left." in news["html"]
    assert (news["stop"], news["announce"]) == (False, "")
    task_leases.advance(turn, KIND)
    task_leases.advance(turn, KIND)
    news = pages.client.get(f"{path}/live").get_json()
    assert news["stop"] is True
    assert news["announce"].endswith("30 counted.")


def test_a_partial_failure_is_shown_first_and_as_a_warning(app: Flask) -> None:
    path, pages = start(), visit(app)
    job.work({"counting": replace(KIND, step=count_most)})
    page = pages.get(path)
    assert "2 were lost. 28 counted, 2 lost." in page.main
    assert tones(page) == {"notice-warning"}
    news = pages.client.get(f"{path}/live").get_json()
    assert news["announce"].endswith("2 were lost. 28 counted, 2 lost.")


def test_a_stopped_task_says_so_even_after_failures(app: Flask) -> None:
    path, pages = start(), visit(app)
    with writing() as current:
        task = current.scalars(select(Task)).one()
        task.count("lost", 2)
    page = pages.submit(pages.get(path).form(f"{path}/stop"))
    assert " after 2 of 30" in page.main
    assert "Finished, but" not in page.main


def test_a_person_stops_a_task_once(app: Flask) -> None:
    path, pages = start(), visit(app)
    form = pages.get(path).form(f"{path}/stop")
    assert " after 0 of 30" in pages.submit(form).main
    news = pages.client.get(f"{path}/live").get_json()
    assert "0 of 30" in news["announce"]
    assert pages.submit(form).tone == "info"
