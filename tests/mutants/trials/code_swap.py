"""Another text for a module that is imported already: its functions get the new text's code."""

import gc
from collections.abc import Iterable
from itertools import count
from types import CodeType, FunctionType
from typing import Final, TypeAlias

FUNCTION: Final = 1  # CO_OPTIMIZED: the body of a function, and not of a class or a module
Functions: TypeAlias = dict[str, list[FunctionType]]


class Unswappable(Exception):
    """What changed is not in the body of a function: only a new import brings it about."""


def functions_below(root: str) -> Functions:
    """Every function there is whose code was read from a file below this folder, by the file."""
    found: Functions = {}
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename.startswith(root):
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def swap(file: str, old: str, new: str, functions: Iterable[FunctionType]) -> None:
    """Give the functions of a file the code that its new text has for them.

    Raises Unswappable when the texts differ elsewhere: in a default, a decorator, a class body.
    """
    codes = _changed(compile(old, file, "exec"), compile(new, file, "exec"))
    is_swapped = False
    for function in functions:
        code = function.__code__
        if changed := codes.get((code.co_qualname, code.co_firstlineno)):
            function.__code__ = changed
            is_swapped = True
    if not is_swapped:
        raise Unswappable(file)


def _changed(old: CodeType, new: CodeType) -> dict[tuple[str, int], CodeType]:
    """The new code of each function, by the old one's name and line."""
    if not _is_same_body(old, new):
        raise Unswappable(old.co_qualname)
    olds, news = _named(old), _named(new)
    if olds.keys() != news.keys():
        raise Unswappable(old.co_qualname)
    changed = {}
    for name, was in olds.items():
        now = news[name]
        if not was.co_flags & FUNCTION:
            if not _is_same_body(was, now):
                raise Unswappable(was.co_qualname)
        elif was.co_freevars != now.co_freevars:
            raise Unswappable(was.co_qualname)
        else:
            changed[was.co_qualname, was.co_firstlineno] = now
    return changed


def _is_same_body(old: CodeType, new: CodeType) -> bool:
    """Whether both do the same, but for the bodies of the functions and classes in them."""

    def body(code: CodeType) -> tuple[bytes, tuple[str, ...], list[object]]:
        held = [(type(each), each) for each in code.co_consts if not isinstance(each, CodeType)]
        return code.co_code, code.co_names, [*held]

    return body(old) == body(new)


def _named(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """The functions and classes in it, by their names and how many of that name came before."""
    found: dict[tuple[str, int], CodeType] = {}
    for each in _inside(code):
        # A generator's own name says nothing of which it is; it goes with its function.
        if each.co_name.startswith("<") and each.co_name != "<lambda>":
            continue
        number = next(n for n in count() if (each.co_qualname, n) not in found)
        found[each.co_qualname, number] = each
    return found


def _inside(code: CodeType) -> Iterable[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _inside(each)
