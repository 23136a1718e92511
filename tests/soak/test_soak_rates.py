"""Five thousand made-up devices: what is shown of each is what was carried."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.vocab.test_rates_truth import TRUE, Story, check_true, stories

pytestmark = pytest.mark.soak


@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories(TRUE))
def test_what_is_shown_is_what_was_carried(story: Story) -> None:
    check_true(story)
