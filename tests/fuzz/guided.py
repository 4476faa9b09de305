"""Coverage-guided fuzzing of one target, in a process of its own: ``python -m tests.fuzz.guided TARGET FLAGS CORPUS…``.

The flags are libFuzzer's. Atheris comes for few versions of Python; the rest of `tests.fuzz` does without it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["meshdns"]):
    from tests.fuzz.targets import targets


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, *arguments = sys.argv[1:]
    target = targets()[name]
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *arguments], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
