"""A settings file of few characters cannot mean much: its values and its faults are bounded while it is read."""

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from meshdns.config import Settings, SettingsError, parse_settings
from meshdns.config.consistency import conflicts
from meshdns.config.document import MAX_FAULTS, MAX_VALUES, SettingsDocument
from meshdns.config.translate import served_zones
from tests.sources.alias_bomb import alias_bomb


def test_aliases_are_refused_and_never_expanded() -> None:
    """Each alias is a fault at its place; nothing walks over what it stands for."""
    tracemalloc.start()
    try:
        document = SettingsDocument(alias_bomb(12))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    assert len(document.faults) == MAX_FAULTS + 1
    assert {fault.message for fault in document.faults} == {
        "anchors are not supported here; repeat the value",
        "more faults follow; correct the others first",
    }


def test_faults_are_listed_up_to_a_bound() -> None:
    """The message of a hostile file stays short enough for every pipe and terminal."""
    with pytest.raises(SettingsError) as caught:
        parse_settings("\n".join(f"? [{at}]\n: 1" for at in range(1000)).encode(), "m.yaml")
    assert len(str(caught.value)) < 20_000
    assert str(caught.value).endswith("more faults follow; correct the others first")


@pytest.mark.slow
def test_a_file_of_too_many_values_is_refused_where_they_are_too_many() -> None:
    """The reason names the bound; keys count."""
    (fault,) = SettingsDocument("".join(f"a{at}: 1\n" for at in range(MAX_VALUES))).faults
    assert (fault.line, fault.message) == (MAX_VALUES // 2, f"holds more than {MAX_VALUES} values; remove some")


@pytest.mark.parametrize("work", [conflicts, served_zones], ids=["comparing", "translating"])
def test_the_work_of_many_zones_grows_with_their_number_alone(work: Callable[[Settings], Iterable[object]]) -> None:
    """Not with its square: 10,000 zones held the interpreter for minutes, in the supervisor's event loop at last."""
    count = 500
    settings = Settings.model_validate(
        {
            "zones": [{"name": f"z{number}.mesh.example"} for number in range(count)],
            "forward": [{"zone": f"f{number}.example", "to": ["192.0.2.1"]} for number in range(count)],
            "records": [
                {"name": f"a.z{number}.mesh.example", "type": "A", "value": "192.0.2.7"} for number in range(count)
            ],
        }
    )
    calls: Counter[str] = Counter()

    def count_calls(_frame: object, event: str, _argument: object) -> None:
        calls[event] += 1

    sys.setprofile(count_calls)
    try:
        found = list(work(settings))
    finally:
        sys.setprofile(None)
    assert len(found) in (0, count)
    assert sum(calls.values()) < 500 * count
