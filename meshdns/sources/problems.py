"""What is wrong with a source itself, as a value."""

from meshdns.mesh.problems import Problem, ProblemKind


def fault(subject: str, name: str, message: str, namespace: str = "") -> Problem:
    """A problem from a message that ends with what to do, behind its last semicolon."""
    reason, _, advice = message.rpartition("; ")
    return Problem(ProblemKind.UNREADABLE, subject, namespace, name, "", reason or message, advice)
