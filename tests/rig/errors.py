"""What is raised when a program that the tests need cannot be had."""


class ComponentUnavailable(Exception):  # noqa: N818 - it names a state of the machine, not a mistake in the code
    """A real program cannot be had on this machine; the message says why and what to do next."""
