"""Every input that was worth keeping is replayed, and every seed: no rule of any reader is broken."""

import pytest

from tests.fuzz.targets import targets

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_break_no_rule(name: str) -> None:
    """The corpus, which coverage-guided fuzzing found and minimised."""
    target = TARGETS[name]
    files = target.corpus()
    assert files
    for file in files:
        target.run(file.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_seeds_break_no_rule(name: str) -> None:
    """The rows of the tables, and cut at every place."""
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert len(seeds) >= 20
    for seed in seeds:
        target.run(seed)
        target.run(seed[: len(seed) // 2])
