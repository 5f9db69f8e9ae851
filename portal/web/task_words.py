"""What the page of a kind of long work needs to be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from portal.models.tasks import Task

Link = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWords:
    """How the page of one kind speaks.

    `outcomes`: what became of rows, by the names in `Task.counts`, in the order of the sentence.
    `after`: (label, address) of what a person may look at when it has ended.
    """

    title: Callable[[Task], str]
    outcomes: Mapping[str, str]
    after: Callable[[Task], list[Link]] = lambda _task: []
