"""Tables and ages as kubectl prints them."""

import pytest

from meshdns.cli.output import format_age, format_duration, format_table


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (10 * 60, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (76 * 3600 + 4 * 3600, "3d8h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (3650 * 86400, "10y"),
    ],
)
def test_durations_are_kubectls(seconds: float, expected: str) -> None:
    """At most two units, the smaller one only while it matters."""
    assert format_duration(seconds) == expected


def test_ages_count_from_the_creation() -> None:
    """The age of an object is the time since its stamp; what is no stamp has none."""
    assert format_age("1970-01-04T06:00:00Z", 86400.0 * 6 + 3600 * 10) == "3d4h"
    assert format_age("", 0.0) == "<unknown>"


def test_an_empty_table_has_its_headers() -> None:
    """Columns without rows are as wide as their headers."""
    assert format_table(["NAME", "AGE"], [], with_headers=True) == ["NAME   AGE"]
    assert format_table(["NAME", "AGE"], [], with_headers=False) == []
