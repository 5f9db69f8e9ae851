"""What the supervisor runs: a list of programs, and how it gets from one process into another."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep alive. `stage`: the lowest is stopped first. `socket`: a path that has
    to answer before the next program starts."""

    name: str
    argv: list[str]
    stage: int
    socket: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, which address shows that it runs, and what to say then."""

    programs: list[Program]
    host: str
    port: int
    greeting: list[str]

    def to_json(self) -> str:
        """For the way through `exec`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        programs = [Program(**program) for program in values.pop("programs")]
        return cls(programs=programs, **values)


def become(plan: Plan, environ: Mapping[str, str]) -> None:
    """Replace this process by the supervisor of `plan`, with none of the imports made so far.

    The plan goes through a pipe: command lines are seen by every user of the machine.
    """
    reader, writer = os.pipe()
    os.write(writer, plan.to_json().encode())
    os.close(writer)
    os.set_inheritable(reader, True)
    argv = [sys.executable, "-m", "jobs.processes.supervisor", str(reader)]
    os.execve(sys.executable, argv, dict(environ))  # noqa: S606 - that is the point
