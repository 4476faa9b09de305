"""Exit codes of the commands: the table that ``docs/cli.md`` shows. 2 is click's own."""

from typing import Final

FAILED: Final = 1
WRONG_SETTINGS: Final = 65  # EX_DATAERR of sysexits.h, as istioctl and others use for wrong configuration
UNREACHABLE: Final = 69  # EX_UNAVAILABLE
PROBLEMS_FOUND: Final = 79  # as istioctl analyze

MEANINGS: Final = {
    0: "good: what was asked for was found, printed or done",
    FAILED: "nothing was found, two things differ, or something failed while running",
    2: "wrong usage: the command line cannot be understood",
    WRONG_SETTINGS: "wrong settings: each fault is named with file, line and column",
    UNREACHABLE: "nobody to ask: no server answers on the admin socket, and there is no name database to read instead, "
    "or this user may not ask",
    PROBLEMS_FOUND: "`meshdns check` found problems in manifests",
}
