"""Long work: imports, bulk actions, batches. Maintenance notifies of its rows as of deliveries."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class TaskState(StrEnum):
    """Where a piece of long work is. A running one may also be between two jobs."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


# The predicate of the partial index; queries say it literally, too.
IS_UNDER_WAY = "state IN ('waiting', 'running')"


class Task(Base):
    """One piece of long work, done in short transactions, each of which moves `cursor`.

    `cursor` says where it goes on, in the terms of its kind; `done` of `total` are finished;
    `counts` tells them apart by outcome. `due_at`, `lease_until`: by the database's clock.
    `run`: of the process that has the lease (`services/core/heartbeats.py`). `failures` in a row:
    transactions that ended in an error of ours.
    """

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10), default=TaskState.WAITING)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    due_at: Mapped[datetime]
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None]
    run: Mapped[uuid.UUID | None]
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")
    actor_kind: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor_name: Mapped[str] = mapped_column(String(120))
    token_id: Mapped[int | None]
    origin: Mapped[str] = mapped_column(String(16))
    stopped_by: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_tasks_due",
            "due_at",
            sqlite_where=text(IS_UNDER_WAY),
            postgresql_where=text(IS_UNDER_WAY),
        ),
        Index("ix_tasks_created_at", "created_at"),
        {"sqlite_autoincrement": True},
    )

    def count(self, outcome: str, rows: int = 1) -> None:
        """Note that `rows` more are finished, and with what outcome."""
        self.done += rows
        self.counts = {**self.counts, outcome: self.counts.get(outcome, 0) + rows}


class TaskRow(Base):
    """One row that a task works at, in the order of `number`; `outcome` and `message` once it did.

    `data` is what the row is made of, in the terms of the task's kind.
    """

    __tablename__ = "task_rows"

    task_id: Mapped[int] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[str | None] = mapped_column(String(12))
    message: Mapped[str] = mapped_column(default="")
    asset_id: Mapped[int | None]

    __table_args__ = (Index("ix_task_rows_task_id_outcome_number", "task_id", "outcome", "number"),)


class ImportMatch(Base):
    """The last answers about files with one set of headings and words.

    `headings`: a hash of the set (`services/csv/import_matches.py`). `matches`, `words`: as
    `services/csv/import_matches.py` has them; `readings`: as `import_readings.py` does.
    """

    __tablename__ = "import_matches"

    headings: Mapped[str] = mapped_column(String(64), primary_key=True)
    matches: Mapped[dict[str, Any]]
    words: Mapped[dict[str, Any]]
    readings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    used_at: Mapped[datetime] = mapped_column(index=True)
