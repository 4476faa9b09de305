"""What meshdns answers is what the zone says that it prints, for any question."""

import pytest
from hypothesis import settings

from tests.conformance.situations import scene, views
from tests.conformance.zone_rules import RULES, explore

pytestmark = pytest.mark.rig

_CHOSEN = [
    ("online-boutique", "cluster1"),
    ("headless", "east"),
    ("wildcard-shadowing", "east"),
    ("dual-stack", "east"),
    ("reverse-zones", "east"),
    ("nested-zones", "east"),
]


@pytest.mark.parametrize(("situation", "view"), _CHOSEN)
def test_meshdns_answers_as_nsd_with_the_zone_it_prints(situation: str, view: str) -> None:
    """RCODE, AA, answer and authority of random questions are NSD's, but for the differences that are meant."""
    examples = settings().max_examples  # the profile's; `make conformance` draws more, for every situation
    with scene(situation, view) as both:
        explore(both, examples)
        assert both.asked >= examples


def test_every_difference_is_named_once_and_argued() -> None:
    """A rule without a reason is none; the chosen situations are still there."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.reason for rule in RULES)
    assert set(_CHOSEN) <= set(views())
