"""The recording: all tests once, in copies with probes, to learn what each of them reaches."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from tests.mutants.reach.probes import put_probes
from tests.mutants.reach.reach import Reach
from tests.mutants.trees import ROOT, TIMED_OUT, copied, pytest_in

AT_ONCE = 6  # files of a folder in one run, which share servers
LIMIT = 1800  # seconds for a run
# They take longest and so begin.
FIRST = ("tests/faults", "tests/browser", "tests/jobs")


def recorded(kept: Path, workers: int, *, is_anew: bool) -> Reach:
    """What tests reach: what is kept, and the files that are new or changed, or all anew."""
    reach = Reach() if is_anew else Reach.read(kept)
    prints = fingerprints()
    for file in set(reach.files) - set(prints):
        reach.forget(file)
        del reach.files[file]
    runs: SimpleQueue[list[str]] = SimpleQueue()
    for run in _runs([file for file, mark in prints.items() if reach.files.get(file) != mark]):
        runs.put(run)
    if runs.empty():
        return reach
    lock = Lock()

    def work() -> None:
        with copied() as tree:
            places = put_probes(tree)
            while not runs.empty():
                files = runs.get()
                lines = _lines(tree, files)
                # What was red by chance must not be lost, for no mutant is shown to a red test.
                if again := {_file(line) for line in lines if _is_red(line)}:
                    lines += [line for line in _lines(tree, sorted(again)) if not _is_red(line)]
                with lock:
                    for file in files:
                        reach.forget(file)
                        reach.files[file] = prints[file]
                    reach.add(places, lines)
                    reach.save(kept)
                    print(f"Recorded {files[0]} and {len(files) - 1} more.", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    return Reach.read(kept)


def fingerprints() -> dict[str, str]:
    """Every file of tests, and what tells whether it has changed."""
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    return {
        file: hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:16]
        for file in sorted(files)
        if not file.startswith("tests/mutants/")
    }


def _runs(files: Sequence[str]) -> Iterator[list[str]]:
    by_folder: dict[str, list[str]] = {}
    for file in sorted(files, key=lambda each: (not each.startswith(FIRST), each)):
        by_folder.setdefault(file.rpartition("/")[0], []).append(file)
    for some in by_folder.values():
        for start in range(0, len(some), AT_ONCE):
            yield some[start : start + AT_ONCE]


def _is_red(line: str) -> bool:
    outcome: str = json.loads(line)["outcome"]
    return outcome == "failed"


def _file(line: str) -> str:
    name: str = json.loads(line)["id"]
    return name.partition("::")[0]


def _lines(tree: Path, files: Sequence[str]) -> list[str]:
    output = tree.parent / "reach.jsonl"
    output.unlink(missing_ok=True)
    options = ["-p", "tests.mutants.reach.recorder", "--reach", str(output)]
    status, _ = pytest_in(tree, [*options, *files], LIMIT, tree.parent / "output.txt")
    if status == TIMED_OUT or not output.exists():
        raise SystemExit(f"The tests of {files} did not come to an end (status {status}).")
    return output.read_text().splitlines()
