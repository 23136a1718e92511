"""Figures are readable, and nothing a device says is obeyed by the terminal."""

import pytest
from rich.console import Console

from twin.app.cli.common import screen
from twin.app.render import age, bits, findings_table, percent, shown
from twin.vocab.snapshot import Finding


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 bit/s"),
        (999.0, "999 bit/s"),
        (1234.0, "1.23 kbit/s"),
        (5e6, "5 Mbit/s"),
        (4e11, "400 Gbit/s"),
    ],
)
def test_rates(value: float | None, text: str) -> None:
    assert bits(value) == text


@pytest.mark.parametrize(("share", "text"), [(None, "–"), (0.0, "0%"), (0.034, "3.4%"), (0.6, "60%"), (1.2, "120%")])
def test_shares(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "\x1b[2J", "a\rb", "\x9b31m", "x\x7f"])
def test_control_characters_are_shown_not_obeyed(evil: str) -> None:
    console = Console(record=True, width=200)
    console.print(findings_table([Finding("warning", evil, evil, f"[red]{evil}[/red]")]))
    printed = console.export_text()
    assert not any(c in printed for c in "\x1b\x07\x9b\x7f\r")
    assert "[red]" in printed
    assert shown(evil) in printed


def test_what_looks_like_an_emoji_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    screen().warn("router at 2001:db8:a:b::1, SHA256:abc:")
    assert capsys.readouterr().err == "router at 2001:db8:a:b::1, SHA256:abc:\n"


def test_findings_that_say_the_same_are_one_line() -> None:
    console = Console(record=True, width=200)
    console.print(findings_table([Finding("note", f"r{i}", "BGP", "not modelled") for i in range(9)]))
    assert console.export_text().count("not modelled") == 1


@pytest.mark.parametrize(
    ("seconds", "told"), [(59, "59 s"), (90, "1.5 min"), (86400 * 35, "35 d"), (86400 * 1830, "1,830 d")]
)
def test_a_length_of_time_is_told_in_its_unit(seconds: float, told: str) -> None:
    assert age(seconds) == told
