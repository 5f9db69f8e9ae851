"""`make browser-support`: look up in MDN's data since when browsers have what we use.

The package `@mdn/browser-compat-data` is fetched by npm; its facts about what our style sheets and
scripts use are written to `table.json`, by which a test judges them without a network.
"""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.project.browser_support.features import every_feature

PACKAGE: Final = "@mdn/browser-compat-data"
VERSION: Final = "8.1.9"
TABLE: Final = Path(__file__).with_name("table.json")
BROWSERS: Final = ("firefox", "safari")
# Of the interfaces that have a member of this name, whose is meant: the first of these.
# fmt: off
INTERFACES: Final = (
    "Element", "HTMLElement", "Document", "Node", "Window", "Event", "SubmitEvent",
    "KeyboardEvent", "EventTarget", "ParentNode", "ChildNode", "CharacterData", "Text",
    "HTMLInputElement", "HTMLFormElement", "HTMLButtonElement", "HTMLSelectElement",
    "HTMLOptionElement", "HTMLAnchorElement", "HTMLTemplateElement", "HTMLDetailsElement",
    "HTMLDialogElement", "HTMLTextAreaElement", "DOMTokenList", "NodeList", "NamedNodeMap",
    "Attr", "Navigator", "Clipboard", "Selection", "Location", "History", "Response", "Headers",
)
BUILTINS: Final = (
    "Array", "String", "Object", "Number", "RegExp", "Math", "Boolean", "Map", "Set", "Promise",
    "Intl", "JSON",
)
# fmt: on
SYNTAX: Final = {
    "optional chaining": "operators.optional_chaining",
    "nullish coalescing": "operators.nullish_coalescing",
    "nullish assignment": "operators.nullish_coalescing_assignment",
    "or assignment": "operators.logical_or_assignment",
    "and assignment": "operators.logical_and_assignment",
    "arrow functions": "functions.arrow_functions",
    "async functions": "statements.async_function",
    "await": "operators.await",
    "spread": "operators.spread",
    "template literals": "grammar.template_literals",
    "numeric separators": "grammar.numeric_separators",
    "modules": "statements.import",
    "classes": "classes",
    "private names": "classes.private_class_fields",
    "destructuring": "operators.destructuring",
    "look-behind": "regular_expressions.lookbehind_assertion",
    "named groups": "regular_expressions.named_capturing_group",
    "optional catch": "statements.try_catch.optional_catch_binding",
    "exponent": "operators.exponentiation",
}


def main(argv: list[str]) -> None:
    """Write the table anew. An argument is a `data.json` that is there already."""
    if argv:
        write(json.loads(Path(argv[0]).read_text("utf-8")))
        return
    with TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            part = packed.extractfile("package/data.json")
            assert part is not None
            write(json.load(part))


def write(data: Mapping[str, Any]) -> None:
    """Write what `data` says of each thing that we use."""
    features = sorted({feature for _, feature in every_feature()})
    lines = [f"  {_json(feature)}: {_json(facts(data, feature))}" for feature in features]
    head = f' "package": {_json(PACKAGE)},\n "version": {_json(data["__meta"]["version"])},\n'
    body = ",\n".join(lines)
    TABLE.write_text(f'{{\n{head} "features": {{\n{body}\n }}\n}}\n', "utf-8")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def facts(data: Mapping[str, Any], feature: str) -> dict[str, Any]:
    """Since which version each browser has it, False for never; nothing where MDN has no data of
    its own: it is as old as what it belongs to, or a name of ours."""
    for path in paths(data, feature):
        node = _at(data, path)
        if node and "__compat" in node:
            support = node["__compat"]["support"]
            return {"as": path, **{name: _since(support.get(name)) for name in BROWSERS}}
    return {}


def paths(data: Mapping[str, Any], feature: str) -> Iterator[str]:
    """Where the data may tell of it, the likeliest first."""
    kind, what, name = feature.split(" ", 2)
    if (kind, what) == ("css", "property"):
        yield f"css/properties/{name}"
    elif (kind, what) == ("css", "value"):
        owner, word = name.split(": ")
        yield f"css/properties/{owner}/{word}"
        yield f"css/properties/{owner}/{word.replace('-', '_')}"
    elif (kind, what) == ("css", "function"):
        yield from _named(data["css"]["types"], "css/types", name.removesuffix("()"))
        yield from _named(data["css"]["properties"], "css/properties", name.removesuffix("()"))
    elif (kind, what) == ("css", "unit"):
        for family in ("length", "angle", "time", "flex", "resolution"):
            yield f"css/types/{family}/{name}"
        yield from _named(data["css"]["types"], "css/types", name)
    elif (kind, what) == ("css", "selector"):
        yield f"css/selectors/{name.removeprefix(':')}"
    elif (kind, what) == ("css", "at-rule"):
        yield f"css/at-rules/{name.removeprefix('@')}"
    elif (kind, what) == ("css", "media"):
        yield f"css/at-rules/media/{name if name != 'range' else 'range_syntax'}"
        yield f"css/at-rules/media/{name.removeprefix('min-').removeprefix('max-')}"
    elif what == "syntax":
        yield f"javascript/{SYNTAX[name].replace('.', '/')}"
    elif what == "global":
        yield from (
            f"javascript/builtins/{name}",
            f"api/{name}",
            f"api/Window/{name}",
            f"api/{name}",
        )
    else:
        yield from (f"api/{owner}/{name}" for owner in INTERFACES)
        yield from (f"javascript/builtins/{owner}/{name}" for owner in BUILTINS)
        yield from (
            f"javascript/builtins/Intl/DateTimeFormat/{name}",
            f"javascript/builtins/Intl/{name}",
        )


def _named(node: Mapping[str, Any], path: str, name: str, depth: int = 4) -> Iterator[str]:
    for key, child in node.items():
        if key == name:
            yield f"{path}/{key}"
        if depth and isinstance(child, dict) and key != "__compat":
            yield from _named(child, f"{path}/{key}", name, depth - 1)


def _at(data: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    node: Any = data
    for key in path.split("/"):
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _since(support: Any) -> str | bool:
    """The first version that has it under its own name, whole and without a switch."""
    entries = support if isinstance(support, list) else [support or {}]
    for entry in entries:
        is_whole = not (entry.keys() & {"flags", "prefix", "alternative_name", "version_removed"})
        added = entry.get("version_added")
        if is_whole and added and added != "preview":
            return added.removeprefix("≤") if isinstance(added, str) else "1"
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
