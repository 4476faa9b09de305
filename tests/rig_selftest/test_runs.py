"""The test run keeps its own rules: what runs beside what, on which ports, and which marks may not be forgotten."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.rig.ports import _slice

pytestmark = [pytest.mark.slow, pytest.mark.long]

REPOSITORY = Path(__file__).resolve().parents[2]
HOOKS = """
from tests.conftest import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_pyfunc_call,
    pytest_runtest_protocol,
    pytest_xdist_make_scheduler,
)
"""
RECORDING = """
import os
import time

import pytest

def record(word):
    with open({record!r}, "a") as file:
        file.write(f"{{word}}\\n")

@pytest.mark.{mark}
@pytest.mark.parametrize("turn", range(3))
def test_it(turn):
    record("begin {mark}")
    time.sleep(0.1)
    record("end {mark}")
"""


def run(folder: Path, *words: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the hooks and options of this suite on `files`."""
    (folder / "conftest.py").write_text(HOOKS)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-c", str(REPOSITORY / "pyproject.toml"), "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *words, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("files", [1, 6], ids=["fewer files than workers", "more"])
def test_nothing_is_beside_what_runs_alone(tmp_path: Path, files: int) -> None:
    """Tests with the mark begin when all others have ended, one after the other, and are counted with them."""
    record = str(tmp_path / "record")
    suite = {f"test_{at}": RECORDING.format(record=record, mark="slow") for at in range(files)}
    suite["test_alone"] = RECORDING.format(record=record, mark="alone")
    done = run(tmp_path, "-n3", "--dist=loadgroup", "--no-loadscope-reorder", **suite)
    assert f"{3 * (files + 1)} passed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    lines = Path(record).read_text().splitlines()
    assert lines[-6:] == ["begin alone", "end alone"] * 3
    assert lines[:-6].count("begin slow") == lines[:-6].count("end slow") == 3 * files


def test_a_forgotten_mark_is_a_failure(tmp_path: Path) -> None:
    """A test that reaches for a real program without `rig`, by itself or in a process that it starts, fails."""
    here = """
        from tests.rig.packages import program

        def test_it():
            program("dig")
        """
    there = """
        import subprocess
        import sys

        def test_it():
            subprocess.run([sys.executable, "-c", "from tests.rig.packages import program; program('dig')"], check=True)
        """
    done = run(tmp_path, f"--override-ini=pythonpath={REPOSITORY}", test_here=here, test_there=there)
    assert "2 failed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert "mark it with pytest.mark.rig" in done.stdout


@pytest.mark.parametrize(
    ("mark", "expected"), [("filterwarnings('error')", "1 failed"), ("slow", "1 passed")], ids=["unmarked", "marked"]
)
def test_a_slow_test_says_so(tmp_path: Path, mark: str, expected: str) -> None:
    """With `--quick` a test that uses more than a second of the processor fails unless it has the mark `slow`."""
    busy = f"""
        import time

        import pytest

        @pytest.mark.{mark}
        def test_it():
            end = time.process_time() + 1.1
            while time.process_time() < end:
                pass
        """
    done = run(tmp_path, "--quick", test_busy=busy)
    assert expected in done.stdout.splitlines()[-1], done.stdout + done.stderr


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
def test_workers_share_no_port(workers: int) -> None:
    """Each has thousands or hundreds of its own."""
    slices = [set(_slice(f"gw{worker}", str(workers))) for worker in range(workers)]
    assert len(set.union(*slices)) == sum(map(len, slices))
    assert min(map(len, slices)) > 1000
