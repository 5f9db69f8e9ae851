"""The screen: what mypy would see is told from what it would not, however fast they are asked."""

from pathlib import Path

from tests.mutants.sample import mutants_of
from tests.mutants.screen import Screen
from tests.mutants.source import Module

TEXT = "".join(
    f"def of_{kind}_{number}(a: {kind}, b: {kind}) -> {kind}:\n    return a + b\n\n\n"
    for number in range(3)
    for kind in ("str", "int")
)


def test_each_is_judged_for_itself(tmp_path: Path) -> None:
    for folder in ("portal", "jobs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "portal" / "sums.py").write_text(TEXT)
    (tmp_path / "wsgi.py").touch()
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    module = Module("portal/sums.py", TEXT)
    screen = Screen(tmp_path, tmp_path / "screen.json")
    try:
        judged = [
            (each.place.partition("|")[2], screen.passes(each, module))
            for each in mutants_of(module)
            if each.now == "return a - b"
        ]
    finally:
        screen.close()
    assert judged == [
        (f"of_{kind}_{number}#0", kind == "int") for number in range(3) for kind in ("str", "int")
    ]
    assert (tmp_path / "portal" / "sums.py").read_text() == TEXT
