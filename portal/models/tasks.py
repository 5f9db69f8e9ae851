"""Tasks: imports, bulk actions, and batches. Maintenance notifies workers of due ones."""

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
    """The state of a task. A running task can also be between two jobs."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


# The predicate of the partial index. Queries repeat it literally.
IS_UNDER_WAY = "state IN ('waiting', 'running')"


class Task(Base):
    """A long task that runs in short transactions. Each one advances `cursor`.

    `cursor`: the place to continue, in a form that depends on the kind. `done` of `total` rows are
    finished, and `counts` has them by outcome. `due_at`, `lease_until`: by the database's clock.
    `run`: of the process with the lease (`services/core/heartbeats.py`). `failures`: the number of
    transactions in a row that ended in one of our errors.
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
        """Record that `rows` more are finished with this outcome."""
        self.done += rows
        self.counts = {**self.counts, outcome: self.counts.get(outcome, 0) + rows}


class TaskRow(Base):
    """One row of a task, processed in the order of `number`. Sets `outcome` and `message`.

    `data`: the row's input, in a form that depends on the task's kind.
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
    """The last choices for import files with the same set of headings and words.

    `headings`: a hash of the set. `matches`, `words`: as in `services/csv/import_matches.py`.
    `readings`: as in `import_readings.py`.
    """

    __tablename__ = "import_matches"

    headings: Mapped[str] = mapped_column(String(64), primary_key=True)
    matches: Mapped[dict[str, Any]]
    words: Mapped[dict[str, Any]]
    readings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    used_at: Mapped[datetime] = mapped_column(index=True)
