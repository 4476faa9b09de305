"""``python -m tests.zones.rewrite`` writes the master files of all situations anew, from what is served now.

For a rule that changes names in many situations. Whether each change is right is for the reader of the difference.
"""

from tests.zones.test_golden import GOLDEN, served, settings_of


def rewrite() -> None:
    """Write every master file."""
    for golden in GOLDEN:
        golden.write_text("".join(f"{line}\n" for line in served(settings_of(golden))), "utf-8")


if __name__ == "__main__":
    rewrite()
