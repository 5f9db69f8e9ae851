"""Where compiled templates are kept."""

import shutil
import tempfile
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from tests.support.nursery.compiled_templates import compiled_templates


def test_a_template_is_shown_after_the_folder_for_temporary_files_was_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_this_time = tmp_path / "temporary"
    for_this_time.mkdir()
    monkeypatch.setenv("TMPDIR", str(for_this_time))
    monkeypatch.setattr(tempfile, "tempdir", None)
    pages = Environment(
        loader=DictLoader({"greeting": "Hello {{ name }}"}),
        bytecode_cache=compiled_templates(),
        autoescape=True,
    )
    shutil.rmtree(for_this_time)
    assert pages.get_template("greeting").render(name="Ada") == "Hello Ada"
