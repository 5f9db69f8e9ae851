"""Files with foreign headings or words are asked about and read by the answer.

The answer is remembered for the next file with the same headings.
"""

import io
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs import tasks as job
from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.audit import AuditEntry
from portal.models.tasks import ImportMatch, Task, TaskRow, TaskState
from portal.services import tasks
from portal.services.assets import named_lists
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_answers, import_matches, import_task, import_words
from portal.services.csv.import_answers import FileAnswer, Question
from portal.services.operations import retention
from portal.services.task_kinds import KINDS
from tests.lib.spreadsheets.workbook_files import cells_of, xlsx
from tests.services.csv.import_steps import found, rows_of, run, shown
from tests.support.factories import Person, make_asset, make_category, make_staff, make_user

LIST = (
    "Inventarnummer;Bezeichnung;Kategorie;Zustand;Anschaffung;Preis;Farbe\n"
    "L-1;ThinkPad;Laptop;gut;18.12.2023;1.349,00;rot\n"
    "L-2;MacBook;LAPTOP;Sehr gut;04.02.2024;489,90;\n"
    "L-3;Monitor;Bildschirm;???;31.02.2024;auf Anfrage;blau\n"
    "L-1;Pixel;Telefon;gut;;;\n"
)
MATCHES = {
    "inventarnummer": "asset_tag",
    "bezeichnung": "name",
    "kategorie": "category",
    "zustand": "condition",
    "anschaffung": "purchase_date",
    "preis": "purchase_cost",
}
WORDS = {"condition": {"gut": "good", "sehr gut": "excellent", "???": ""}}


@pytest.fixture
def ana(app: Flask) -> Person:
    return make_user(name="Ana")


def asked(person: Person, text: str = LIST) -> UUID:
    """Upload the file as a person does, and return the public id of its check."""
    sheet = read_csv(text.encode())
    return import_task.upload(person.actor, sheet, asks=True, file_name="list.csv")


def question(public_id: UUID) -> Question:
    session().rollback()
    return import_answers.question(import_task.find_check(public_id))


def say(person: Person, public_id: UUID, **changes: object) -> None:
    """Answer the question and check the rows."""
    answer = {"matches": MATCHES, "words": WORDS, "remembers": True, **changes}
    import_answers.answer(person.actor, public_id, FileAnswer(**answer))  # type: ignore[arg-type]  # as given
    job.work(KINDS, seconds=60)


def test_a_check_waits_for_an_answer_and_suggests_close_matches(ana: Person) -> None:
    make_category("Laptops")
    public_id = asked(ana)
    job.work(KINDS)
    assert tasks.find(public_id).state == TaskState.PAUSED
    asked_about = question(public_id)
    assert [(match.heading, match.ours) for match in asked_about.columns] == [
        ("Inventarnummer", "asset_tag"),
        ("Bezeichnung", "name"),
        ("Kategorie", "category"),
        ("Zustand", "condition"),
        ("Anschaffung", "purchase_date"),
        ("Preis", "purchase_cost"),
        ("Farbe", ""),
    ]
    assert asked_about.columns[0].examples == ["L-1", "L-2", "L-3"]
    assert not any(match.is_remembered for match in asked_about.columns)
    assert [(match.ours, match.word, match.rows, match.becomes) for match in asked_about.words] == [
        ("category", "Laptop", 2, "Laptops"),
        ("category", "Bildschirm", 1, None),
        ("category", "Telefon", 1, None),
        ("condition", "gut", 2, "good"),
        ("condition", "Sehr gut", 1, "excellent"),
        ("condition", "???", 1, None),
    ]


def test_rows_are_checked_by_the_answer_and_errors_use_the_files_words(ana: Person) -> None:
    public_id = asked(ana)
    say(ana, public_id)
    assert found(public_id) == [
        (2, "create", ""),
        (3, "create", ""),
        (
            4,
            "error",
            "Anschaffung: Enter the purchase date as a date that exists, not “31.02.2024”. There "
            "is no February 31, 2024\n"
            "Preis: Enter the purchase cost in digits, such as 1,250.00, not “auf Anfrage”",
        ),
        (5, "error", "Inventarnummer: Row 2 already has this tag"),
    ]
    assert run(ana, public_id).counts == {"created": 2}
    page, _ = import_task.rows_page(import_task.find_check(public_id), ("created",), 0)
    assert import_task.cells_of(import_task.find_check(public_id), page[0]) == {
        "asset_tag": "L-1",
        "name": "ThinkPad",
        "category": "Laptop",
        "condition": "good",
        "purchase_date": "18.12.2023",
        "purchase_cost": "1.349,00",
    }


def test_failed_rows_come_back_with_the_files_own_headings(ana: Person) -> None:
    public_id = asked(ana)
    say(ana, public_id)
    heading, *rows = import_task.failed_rows(import_task.find_check(public_id))
    assert heading == (*LIST.splitlines()[0].split(";"), "problem")
    assert rows[0][:7] == (
        "L-3",
        "Monitor",
        "Bildschirm",
        "???",
        "31.02.2024",
        "auf Anfrage",
        "blau",
    )
    again = asked(ana, ";".join(map(str, heading)) + "\n" + ";".join(map(str, rows[1])) + "\n")
    say(ana, again)
    assert [row[1] for row in found(again)] == ["create"]
    assert next(iter(import_task.failed_rows(import_task.find_check(again)))) == heading


def test_the_next_file_with_the_same_headings_is_read_like_the_last(ana: Person) -> None:
    say(ana, asked(ana), words={"condition": {"gut": "fair", "???": ""}})
    heading, row, *_ = LIST.splitlines()
    swapped = "\n".join(";".join(reversed(line.split(";"))) for line in (heading, row))
    asked_about = question(asked(ana, f"{swapped}\n"))
    assert {match.column: match.ours for match in asked_about.columns if match.ours} == MATCHES
    assert [match.column for match in asked_about.columns if match.is_remembered] == list(
        reversed(MATCHES)
    )
    assert [match.becomes for match in asked_about.words if match.word == "gut"] == ["fair"]
    other = question(asked(ana, "Inventarnummer;Zustand\nL-9;gut\n"))
    assert [match.becomes for match in other.words] == ["good"]


def test_a_files_own_answer_takes_precedence_over_a_later_one(ana: Person) -> None:
    ben = make_user()
    first, second = asked(ana), asked(ben)
    say(ana, first)
    say(
        ben,
        second,
        matches={**MATCHES, "preis": "order_number"},
        words={"condition": {"gut": "fair", "???": ""}},
    )
    now = (second, "order_number", "fair"), (asked(make_user()), "order_number", "fair")
    for public_id, ours, becomes in ((first, "purchase_cost", "good"), *now):
        asked_about = question(public_id)
        assert [match.ours for match in asked_about.columns if match.heading == "Preis"] == [ours]
        assert [match.becomes for match in asked_about.words if match.word == "gut"] == [becomes]
    assert [outcome for _, outcome, _ in found(first)] == ["create", "create", "error", "error"]


@pytest.mark.both_databases
def test_a_remembered_word_counts_only_while_its_target_exists(ana: Person) -> None:
    make_category("Laptops")
    say(ana, asked(ana), words={"category": {"laptop": "Notebooks", "telefon": "Laptops"}})
    becomes = {match.word: match.becomes for match in question(asked(ana)).words}
    assert (becomes["Laptop"], becomes["Telefon"]) == ("Laptops", "Laptops")


def test_a_column_that_only_actions_change_is_left_alone_unless_matched(ana: Person) -> None:
    public_id = asked(ana, "Bezeichnung;Status;due_at\nLamp;gut;heute\n")
    say(ana, public_id, matches={"bezeichnung": "name", "status": "condition"})
    assert import_task.find_check(public_id).params["left_alone"] == ["due_at"]
    say(ana, public_id, matches={"bezeichnung": "name"})
    assert import_task.find_check(public_id).params["left_alone"] == ["status", "due_at"]


def test_matches_are_forgotten_on_request_and_both_are_audited(ana: Person) -> None:
    public_id = asked(ana)
    say(ana, public_id)
    say(ana, public_id, remembers=True)
    say(ana, public_id, remembers=False)
    assert session().scalar(select(func.count()).select_from(ImportMatch)) == 0
    query = select(AuditEntry).where(AuditEntry.target_kind == import_matches.TARGET)
    entries = session().scalars(query.order_by(AuditEntry.id)).all()
    assert [entry.action.rpartition(".")[2] for entry in entries] == ["remembered", "forgotten"]
    assert "preis: Purchase cost" in entries[0].changes["matches"]["to"]


def test_an_answer_can_be_changed_until_the_import(ana: Person) -> None:
    asset_id = make_asset("ThinkPad", asset_tag="L-1")
    public_id = asked(ana)
    say(ana, public_id, matches={"bezeichnung": "name"}, words={})
    assert [row[1] for row in found(public_id)] == ["create"] * 4
    say(ana, public_id)
    assert [row[1] for row in found(public_id)] == ["skipped", "create", "error", "error"]
    assert [row.asset_id for row in rows_of(public_id)] == [asset_id, None, None, None]
    assert shown(public_id)[0]["purchase_date"][1] == "2023-12-18"
    task, counts = tasks.find(public_id), {"skipped": 1, "create": 1, "error": 2}
    assert (task.state, task.done, task.counts) == (TaskState.DONE, 4, counts)
    say(ana, public_id, matches={"bezeichnung": "name", "preis": "quantity", "zustand": "kind"})
    assert [row.asset_id for row in rows_of(public_id)] == [None] * 4
    say(ana, public_id)
    run(ana, public_id)
    with pytest.raises(Refusal, match="This import is finished"):
        say(ana, public_id)


def test_an_answer_cannot_change_while_the_rows_are_checked(ana: Person) -> None:
    public_id = asked(ana)
    import_answers.answer(
        ana.actor, public_id, FileAnswer(matches=MATCHES, words={}, remembers=False)
    )
    with pytest.raises(Refusal, match="Wait until the check finishes"):
        say(ana, public_id)


def test_an_unanswered_question_is_removed_with_its_rows(ana: Person) -> None:
    ben = make_user()
    old, answered = asked(ana), asked(ben)
    say(ben, answered)
    retention.clear(utcnow() - timedelta(hours=1), utcnow())
    assert tasks.find(old).state == TaskState.PAUSED
    with writing() as current:
        current.execute(update(Task).values(created_at=utcnow() - timedelta(days=2)))
    retention.clear(utcnow() - timedelta(days=1), utcnow())
    with pytest.raises(NotFound):
        tasks.find(old)
    assert tasks.find(answered).total == 4
    assert session().scalar(select(func.count()).select_from(TaskRow)) == 4


def test_an_invalid_or_forbidden_answer_changes_nothing(ana: Person) -> None:
    public_id = asked(ana)
    with pytest.raises(Refusal, match="Tag or Name"):
        say(ana, public_id, matches={"preis": "purchase_cost"})
    with pytest.raises(NotAllowed):
        say(make_user("support"), public_id)
    session().rollback()
    assert tasks.find(public_id).state == TaskState.PAUSED
    assert session().scalar(select(func.count()).select_from(ImportMatch)) == 0


def test_only_files_with_foreign_headings_or_words_are_asked_about(ana: Person) -> None:
    make_category("Laptops")
    make_staff("Ana Lopez", email="ana@example.com")
    for lines, is_asked in (
        ("asset_tag,Name,Serial Number,status,id,problem\nL-1,A,,,,\n", False),
        ("name,condition,reservable,kind\nA,GOOD,Yes,Item\n", False),
        ("name,condition\nA,gut\n", True),
        ("name,reservable\nA,ja\n", True),
        ("name,colour\nA,red\n", True),
        ("model,notes\nA,red\n", True),
        ("name,category,location,assigned_to_email\nA,LAPTOPS,,ANA@example.com\n", False),
        ("name,assigned_to_email\nA,ana lopez\n", False),
        ("name,category\nA,Lamps\n", True),
        ("name,location\nA,Attic\n", True),
        ("name,assigned_to_email\nA,ben@example.com\n", True),
        ("name,purchase_date\nA,3/4/2026\n", True),
        ("name,purchase_date\nA,3/4/2026\nB,13/4/2026\n", False),
        ("name,purchase_cost\nA,1.250\n", True),
        ('name,purchase_cost\nA,1.250\nB,"1.250,50"\n', False),
    ):
        state = tasks.find(asked(ana, lines)).state
        assert (state == TaskState.PAUSED) is is_asked, lines


def test_a_column_with_many_words_does_not_fill_the_page(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_words, "MOST_WORDS", 5)
    monkeypatch.setattr(import_words, "MOST_NAMES", 3)
    for name in ("Word 1", "Words", "Wordy", "Wort", "Chairs", "Desks"):
        named_lists.create(named_lists.CATEGORIES, SYSTEM, name)
    lines = "".join(f"A;Word {number % 9}\n" for number in range(30))
    public_id = asked(ana, f"Bezeichnung;Kategorie\n{lines}A;{'w' * 121}\n")
    asked_about = question(public_id)
    assert [match.word for match in asked_about.words] == [f"Word {n}" for n in (0, 2, 3, 4, 5)]
    assert asked_about.more_words == 3
    assert list(asked_about.words[0].choices) == ["Word 1", "Words", "Wordy"]
    monkeypatch.setattr(import_words, "MOST_NAMES", 6)
    everything = ["Chairs", "Desks", "Word 1", "Words", "Wordy", "Wort"]
    assert list(question(public_id).words[0].choices) == everything


def test_examples_and_words_are_few_and_short(ana: Person) -> None:
    words = ["x" * 50, "b", "b", "c", "d", *["e"] * 14]
    lines = [f"{name};;;" for name in words] + [f"e;{'v' * 120};twenty;", f"e;{'w' * 121};;late"]
    public_id = asked(ana, "\n".join(["Bezeichnung;Kategorie;Note;Farbe", *lines]) + "\n")
    asked_about = question(public_id)
    assert [list(match.examples) for match in asked_about.columns] == [
        ["x" * 40, "b", "c"],
        ["v" * 40],
        ["twenty"],
        [],
    ]
    assert [match.word for match in asked_about.words] == ["v" * 120]


def test_an_ambiguous_correction_is_an_error_with_both_readings(ana: Person) -> None:
    public_id = asked(ana, "Name;Bought on;Price\nChair;soon;20\nDesk;2023-05-29;many\n")
    say(
        ana,
        public_id,
        matches={"name": "name", "bought_on": "purchase_date", "price": "purchase_cost"},
        words={},
    )
    cells = {2: {"bought_on": "03.04.2023"}, 3: {"price": "1,250"}}
    import_answers.correct(ana.actor, public_id, cells)
    job.work(KINDS, seconds=60)
    assert found(public_id) == [
        (
            2,
            "error",
            "Bought on: Enter the purchase date as 2023-03-04 or 2023-04-03, not “03.04.2023”. The "
            "month or the day can come first",
        ),
        (
            3,
            "error",
            "Price: Enter the purchase cost as 1250.00 or 1.25, not “1,250”. The comma can "
            "separate thousands or decimals",
        ),
    ]


@pytest.mark.both_databases
def test_a_correction_is_read_like_a_cell_of_the_file(ana: Person) -> None:
    public_id = asked(ana, "Name;Bought on\nChair;soon\n")
    say(ana, public_id, matches={"name": "name", "bought_on": "purchase_date"}, words={})
    cells = {"name": "\0" * 30_000 + " Chair", "bought_on": "2023-05-29"}
    import_answers.correct(ana.actor, public_id, {2: cells})
    job.work(KINDS, seconds=60)
    assert [row.data["cells"] for row in rows_of(public_id)] == [
        {"name": "Chair", "bought_on": "2023-05-29"}
    ]
    assert found(public_id) == [(2, "create", "")]


def test_a_correction_is_read_like_the_rest_of_its_column(ana: Person) -> None:
    first = ["Name", "Price"]
    book = xlsx(cells_of([first, ["Chair", "1.249,50 €"], ["Desk", "$1,399"], ["Lamp", "many"]]))
    public_id = import_task.upload(
        ana.actor, import_task.read_upload(io.BytesIO(book)), file_name="Assets.xlsx", asks=True
    )
    say(ana, public_id, matches={"name": "name", "price": "purchase_cost"}, words={})
    import_answers.correct(ana.actor, public_id, {3: {"price": "1.399"}, 4: {"price": "20,50"}})
    job.work(KINDS, seconds=60)
    assert found(public_id) == [(2, "create", ""), (3, "create", ""), (4, "create", "")]
    assert import_task.find_check(public_id).params["readings"] == {"purchase_cost": ","}


def test_a_workbook_number_is_not_read_by_a_typed_correction(ana: Person) -> None:
    first = ["name", "purchase_cost"]
    book = xlsx(cells_of([first, ["Chair", "1.399"], ["Desk", "many"]]))
    public_id = import_task.upload(ana.actor, import_task.read_upload(io.BytesIO(book)))
    job.work(KINDS, seconds=60)
    import_answers.correct(ana.actor, public_id, {3: {"purchase_cost": "1.249,50"}})
    job.work(KINDS, seconds=60)
    assert [row[:2] for row in found(public_id)] == [(2, "error"), (3, "create")]
