"""Rates as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.vocab.units import parse_rate, rate_of

RATES = {
    "10G": 10**10,
    "20Mbit": 2 * 10**7,
    "2.48 Gbit/s": 2_480_000_000,
    "9600": 9600,
    "1kbps": 1000,
    " 1.6Tbit/s ": 1_600_000_000_000,
    "64 kbit": 64_000,
    "1.5": 2,
}
NOT_RATES = (
    "",
    "fast",
    "0",
    "0.1",
    "-1G",
    "10 GB",
    "10Gb",
    "1e9",
    "10 Kbit",
    "10 gbit",
    "1.G",
    "٣G",
    "10Gbit/h",
    "10M 5k",
)


@pytest.mark.parametrize(("text", "rate"), RATES.items(), ids=RATES)
def test_rates_are_read_with_their_unit(text: str, rate: int) -> None:
    assert parse_rate(text) == rate_of(text) == rate


@pytest.mark.parametrize("text", NOT_RATES)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate; write for example"):
        parse_rate(text)


@given(st.integers(1, 10**15))
def test_whole_numbers_are_bits_per_second(rate: int) -> None:
    assert parse_rate(str(rate)) == parse_rate(f"{rate}bit/s") == rate_of(rate) == rate
