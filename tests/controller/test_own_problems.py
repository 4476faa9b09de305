"""Problems of the controller itself, as two processes in a row have them."""

import asyncio
from pathlib import Path

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.problems import DatedProblem, Problem, ProblemKind
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, SourceProblems
from tests.controller.scene import controller_metrics, make_controller, run_turns

FAILED = Problem(ProblemKind.UNREADABLE, "kubeconfig", "", "fleet", "", "no reply for 5 s", "look")


async def problem_of_a_source(writer: Writer, folder: Path) -> DatedProblem:
    """What a controller says of a source that fails, once that is committed."""
    controller = make_controller(writer, folder, controller_metrics())
    controller.start()
    controller.report(SourceProblems("source test", (FAILED,)))
    (found,) = controller.problems()
    controller.report(ClusterAdded("east", frozenset({ObjectKind.SERVICE}), source="test"))
    await run_turns(5)
    await controller.close()
    return found


def test_a_source_that_fails_on_after_a_restart_fails_since_before(tmp_path: Path) -> None:
    """The next process learns from the name database when it began."""
    for state in ("first", "second"):
        (tmp_path / state).mkdir()
    times = []
    for state in ("first", "first", "second"):
        writer = Writer(tmp_path / state / "namedb")
        times.append(asyncio.run(problem_of_a_source(writer, tmp_path / state)).since)
        writer.close()
    before, after, elsewhere = times
    assert before == after
    assert elsewhere > before


def test_what_the_supervisor_found_is_shown_until_it_says_otherwise(tmp_path: Path) -> None:
    """Beside the problems of sources, and with the time at which it began."""

    async def main() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics())
        controller.report(SourceProblems("source test", (FAILED,)))
        found = Problem(ProblemKind.UNREADABLE, "ca", "", "/ca.pem", "forward[0].ca", "is a FIFO and no file", "look")
        controller.set_instance_problems((found,))
        shown = controller.problems()
        assert [each.name for each in shown] == ["/ca.pem", "fleet"]
        assert all(each.since > 0 for each in shown)
        controller.set_instance_problems(())
        assert [each.name for each in controller.problems()] == ["fleet"]

    writer = Writer(tmp_path / "namedb")
    asyncio.run(main())
    writer.close()
