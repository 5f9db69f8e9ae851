"""What templates were compiled to, kept for all processes of the tests and for their next run."""

from pathlib import Path
from typing import Final

from jinja2 import FileSystemBytecodeCache

# Beside the tree. Jinja's own choice is in the folder for temporary files, which may be emptied:
# each template that is first shown after that would be an error.
FOLDER: Final = Path(__file__).resolve().parents[3] / "test-results" / "templates"


def compiled_templates() -> FileSystemBytecodeCache:
    """For `Flask.jinja_options["bytecode_cache"]`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return FileSystemBytecodeCache(str(FOLDER))
