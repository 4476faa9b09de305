"""What of the settings reaches the workers."""

import pytest

from meshdns.authority.rrl import RrlSettings
from meshdns.config.model import Settings
from meshdns.supervisor import worker_settings

DEFAULT = RrlSettings(per_second=200, slip=2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"allowQuery": ["private", "10.1.0.0/16", "fd00::/8"]}, None),
        ({"allowQuery": ["private", "198.51.100.0/24"]}, DEFAULT),
        ({"allowQuery": ["2001:db8::/32"]}, DEFAULT),
        ({"allowQuery": ["8.0.0.0/5"]}, DEFAULT),
        ({"allowQuery": ["any"]}, DEFAULT),
        ({"allowQuery": ["any"], "rateLimit": {"perSecond": 0}}, None),
        ({"allowQuery": ["any"], "rateLimit": {"perSecond": 5, "slip": 0}}, RrlSettings(per_second=5, slip=0)),
        ({"rateLimit": {"private": True}}, RrlSettings(per_second=200, slip=2, private=True)),
    ],
)
def test_a_limit_is_for_those_who_admit_strangers(settings: dict[str, object], expected: RrlSettings | None) -> None:
    """Nobody else pays for it."""
    assert worker_settings.rate_limit_settings(Settings.model_validate(settings)) == expected
