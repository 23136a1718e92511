"""A lab file says what is wrong with it, by key, before anything is built."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.lab.spec import LabFile, checked, read_lab
from twin.vocab.errors import InputError
from twin.vocab.files import parse_yaml

LABS = Path(__file__).parents[2] / "configs" / "labs"
GOOD = """
schema_version: "1"
name: pair
routers:
  left: {loopback: 10.0.0.1, edge: 10.100.1.0/24}
  right: {loopback: 10.0.0.2, edge: 10.100.2.0/24}
links:
  - {a: left, b: right, capacity: 20Mbit}
"""
BAD = {
    "a loop": ("b: right,", "b: left,", "links.0: a link from left to itself"),
    "an unknown router": ("b: right,", "b: nowhere,", "links.0.b: unknown router 'nowhere'"),
    "an unknown key": ("name: pair", "name: pair\ncolour: blue", "colour: unknown key"),
    "a rate without sense": ("20Mbit", "fast", "is not a rate"),
    "a rate FRR can't express": ("20Mbit", "20kbit", "greater than or equal to 1000000"),
    "a cost of nothing": ("capacity: 20Mbit", "capacity: 20Mbit, cost: 0", "greater than or equal to 1"),
    "one loopback twice": ("10.0.0.2", "10.0.0.1", "loopback 10.0.0.1 stands 2 times"),
    "one edge inside another": ("10.100.2.0/24", "10.100.1.128/25", "overlaps routers.left.edge"),
    "a link between the same two twice": (
        "20Mbit}",
        "20Mbit}\n  - {a: left, b: right, capacity: 5Mbit}",
        "link left-right stands 2 times",
    ),
    "two islands": (
        "links:\n  - {a: left, b: right, capacity: 20Mbit}",
        "links: []",
        "no link leads from left to right",
    ),
    "an edge too small": ("10.100.2.0/24", "10.100.2.0/31", "routers.right.edge: 10.100.2.0/31 holds no address"),
    "a name that breaks interfaces": ("left:", "the-left-hand-router:", "match pattern"),
    "demands that are not there": (
        "routers:",
        "traffic: {demands: none.parquet}\nrouters:",
        "traffic.demands: there is no file",
    ),
    "a fortnight that begins on a Tuesday": (
        "routers:",
        "traffic: {demands: pair.yaml, begins: 2026-11-24T00:00:00Z}\nrouters:",
        "traffic.begins: Tuesday 2026-11-24 00:00:00 UTC is not a Monday 00:00 UTC",
    ),
    "a Monday that begins elsewhere": (
        "routers:",
        "traffic: {demands: pair.yaml, begins: 2026-11-23T00:00:00+01:00}\nrouters:",
        "traffic.begins: Sunday 2026-11-22 23:00:00 UTC is not",
    ),
    "too few flows": ("routers:", "traffic: {demands: x, flows: 16}\nrouters:", "greater than or equal to 256"),
    "no room for links": ("routers:", "link_prefix: 10.1.0.0/31\nrouters:", "link_prefix: 10.1.0.0/31 holds no /30"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_is_refused_for(case: str, tmp_path: Path) -> None:
    old, new, message = BAD[case]
    assert old in GOOD
    file = tmp_path / "pair.yaml"
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_lab(file)
    assert message in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_left_out_has_its_default() -> None:
    lab = checked(parse_yaml(GOOD, LabFile))
    assert (lab.links[0].cost, lab.links[0].capacity, lab.links[0].mtu) == (10, 20_000_000, 1500)
    assert lab.routers["left"].igp == ("ospf",)
    assert lab.traffic is None


def test_parallel_links_need_names_of_their_own() -> None:
    second = "20Mbit}\n  - {a: left, b: right, capacity: 5Mbit, name: spare}"
    assert [x.title for x in checked(parse_yaml(GOOD.replace("20Mbit}", second), LabFile)).links] == [
        "left-right",
        "spare",
    ]


@pytest.mark.parametrize("begins", ["2026-11-23T00:00:00Z", "2026-11-23T01:00:00+01:00"])
def test_a_fortnight_begins_on_a_monday_in_utc(begins: str, tmp_path: Path) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(f"{GOOD}traffic: {{demands: pair.yaml, begins: {begins}}}\n", encoding="utf-8")
    lab = read_lab(file)
    assert lab.traffic is not None
    assert lab.traffic.begins == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("name", ["abilene", "square"])
def test_every_shipped_lab_is_read(name: str) -> None:
    assert read_lab(LABS / f"{name}.yaml").name == name


def test_abilene_is_the_published_backbone() -> None:
    lab = read_lab(LABS / "abilene.yaml")
    assert (len(lab.routers), len(lab.links), sum(x.cost for x in lab.links)) == (12, 15, 12402)
    assert {r.alias for r in lab.routers.values()} >= {"ATLAM5", "ATLAng", "WASHng"}
