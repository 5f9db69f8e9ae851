"""What our style sheets and scripts ask of a browser, each thing by a name: "css value display:
grid", "js member closest". Enough for the way in which ours are written; no parser of either."""

import re
from collections.abc import Iterator
from typing import Final

from portal.config.settings import ROOT

CSS: Final = ROOT / "static" / "css"
JS: Final = ROOT / "static" / "js"
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING: Final = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_NAME: Final = re.compile(r"-?[a-zA-Z][\w-]*")
_UNIT: Final = re.compile(r"(?<![\w#.-])-?(?:\d+\.?\d*|\.\d+)([a-zA-Z]+)")
_FUNCTION: Final = re.compile(r"(-?[a-zA-Z][\w-]*)\(")
_PSEUDO: Final = re.compile(r"::?([a-z][\w-]*)")
_SYNTAX: Final = {
    "optional chaining": r"\?\.(?!\d)",
    "nullish coalescing": r"\?\?(?!=)",
    "nullish assignment": r"\?\?=",
    "or assignment": r"\|\|=",
    "and assignment": r"&&=",
    "arrow functions": r"=>",
    "async functions": r"\basync\b",
    "await": r"\bawait\b",
    "spread": r"\.\.\.",
    "template literals": "`",
    "numeric separators": r"\b\d+_\d",
    "modules": r"^\s*(?:import|export)\b",
    "classes": r"\bclass\b",
    "private names": r"(?<=[\s.])#[a-z]",
    "destructuring": r"\b(?:const|let)\s*[\[{]",
    "look-behind": r"\(\?<[=!]",
    "named groups": r"\(\?<[a-z]",
    "optional catch": r"\bcatch\s*\{",
    "exponent": r"(?<!\*)\*\*(?!\*)",
}
# Capitals are interfaces and built-ins; the others are what a window has.
_GLOBAL: Final = re.compile(
    r"(?<![\w.$])([A-Z]\w+|fetch|setTimeout|clearTimeout|navigator)\b(?=[.(])"
)
_MEMBER: Final = re.compile(r"(?<!\.)\??\.([a-zA-Z]\w*)")
# Our own names for attributes.
_DATA: Final = re.compile(r"\.dataset\.\w+")


def every_feature() -> Iterator[tuple[str, str]]:
    """(file, feature) of all that is served."""
    for path in sorted(CSS.glob("*.css")):
        yield from ((path.name, each) for each in css_features(path.read_text("utf-8")))
    for path in sorted(JS.glob("*.js")):
        yield from ((path.name, each) for each in js_features(path.read_text("utf-8")))


def css_features(css: str) -> set[str]:
    """What a style sheet uses. What stands behind `@supports` is for browsers that have it."""
    found: set[str] = set()
    stack: list[str] = []
    for text, brace in re.findall(r"([^{}]*)([{}])", _STRING.sub('""', _COMMENT.sub("", css))):
        is_guarded = any(each.startswith("@supports") for each in stack)
        if brace == "}":
            if not is_guarded:
                found |= set(_of_declarations(text))
            stack.pop()
            continue
        head = text.strip()
        if not is_guarded:
            found |= set(_of_head(head, stack))
        stack.append(head)
    return found


def _of_head(head: str, stack: list[str]) -> Iterator[str]:
    if head.startswith("@"):
        yield f"css at-rule {head.split()[0].partition('(')[0]}"
        if head.startswith("@media"):
            yield from (f"css media {name}" for name in re.findall(r"\(([a-z-]+)", head))
            if re.search(r"[<>]", head):
                yield "css media range"
        return
    if any(not each.startswith("@") for each in stack):
        yield "css selector nesting"
    if any(each.startswith("@keyframes") for each in stack):
        return
    yield from (f"css selector :{name}" for name in _PSEUDO.findall(head))


def _of_declarations(text: str) -> Iterator[str]:
    for each in text.split(";"):
        name, colon, value = each.partition(":")
        name = name.strip()
        if not colon:
            continue
        yield from (f"css function {name}()" for name in _FUNCTION.findall(value))
        yield from (f"css unit {unit}" for unit in _UNIT.findall(value))
        if name.startswith("--"):
            continue
        yield f"css property {name}"
        plain = re.sub(r"var\([^)]*\)|#[0-9a-fA-F]+|\"\"", " ", value)
        words = _NAME.findall(_FUNCTION.sub(" ", _UNIT.sub(" ", plain)))
        yield from (f"css value {name}: {word}" for word in words)


def js_features(js: str) -> set[str]:
    """What a script uses: syntax, globals, and whatever is asked of things by a dot."""
    plain = _DATA.sub("", re.sub(r"(?<!:)//[^\n]*", "", _COMMENT.sub("", js)))
    outside = re.sub(r"`[^`]*`", lambda found: _inside(found[0]), _STRING.sub('""', plain))
    found = {
        f"js syntax {name}"
        for name, form in _SYNTAX.items()
        if re.search(form, plain if name != "exponent" else outside, re.MULTILINE)
    }
    found |= {f"js global {name}" for name in _GLOBAL.findall(outside)}
    return found | {f"js member {name}" for name in _MEMBER.findall(outside)}


def _inside(template: str) -> str:
    """The expressions of a template literal."""
    return " ".join(re.findall(r"\$\{([^}]*)\}", template))
