"""Where names are mentioned: by it the tests of a table, a class or a setting are found."""

import ast
import re
from collections.abc import Iterable, Mapping

from tests.mutants.source import Module

WORD = re.compile(r"[A-Za-z_]\w*")
MODELS = "portal/models/"
DEPTH = 3  # a table is mentioned in a table that is mentioned in a function


class Mentions:
    """The places of every name.

    `tests`: the files of the tests, which may name a table themselves.
    """

    def __init__(self, modules: Iterable[Module], tests: Mapping[str, str]) -> None:
        self._tests = {path: set(WORD.findall(text)) for path, text in tests.items()}
        self._places: dict[str, set[str]] = {}
        for module in modules:
            for spot in module.spots():
                if isinstance(spot.node, ast.Name | ast.Attribute):
                    name = spot.node.id if isinstance(spot.node, ast.Name) else spot.node.attr
                    self._places.setdefault(name, set()).add(spot.place)

    def of(self, place: str) -> set[str]:
        """The places in functions that mention what a place outside functions binds."""
        found: set[str] = set()
        seen, now = {place}, {place}
        for _ in range(DEPTH):
            mentioned = {other for each in now for other in self._mentions(each)} - seen
            seen |= mentioned
            now = {each for each in mentioned if each.endswith("@")}
            found |= mentioned - now
        return found

    def tests_of(self, place: str) -> set[str]:
        """The test files that name what a place outside functions binds, or all tables at once."""
        names = {place.removesuffix("@").rpartition("|")[2].rpartition(".")[2]}
        if place.startswith(MODELS):
            names.add("metadata")
        return {path for path, words in self._tests.items() if names & words}

    def _mentions(self, place: str) -> set[str]:
        """An attribute of a class by itself, or by the class when nobody names it."""
        owner, _, name = place.removesuffix("@").rpartition("|")[2].rpartition(".")
        by_name = self._places.get(name, set()) - {place}
        return by_name or self._places.get(owner.rpartition(".")[2], set())
