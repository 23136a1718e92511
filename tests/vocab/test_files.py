"""The one YAML reader: scalars stay as written, and every complaint names file, line and key."""

from dataclasses import field
from pathlib import Path
from typing import Literal

import pytest
from pydantic.dataclasses import dataclass

from twin.vocab.errors import InputError, UsageError
from twin.vocab.files import STRICT, line_of, parse_yaml, read_yaml


@dataclass(frozen=True, config=STRICT)
class Entry:
    at: str
    count: int = 3
    on: bool = True


@dataclass(frozen=True, config=STRICT)
class Form:
    schema_version: Literal["1"]
    entries: dict[str, Entry] = field(default_factory=dict)
    order: tuple[Entry, ...] = ()


def test_scalars_reach_their_type_as_text() -> None:
    form = parse_yaml("schema_version: 1\nentries: {a: {at: 22:30, count: 010, on: no}}", Form)
    assert form.entries["a"] == Entry(at="22:30", count=10, on=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schema_version: 1\nentries:\n  a: {at: x, count: many}", "f.yaml:3: entries.a.count: .*integer.*'many'"),
        ("schema_version: 1\nentries:\n  a:\n    at: x\n    cuont: 3", "f.yaml:5: entries.a.cuont: unknown key"),
        ("schema_version: 1\nentries:\n  a:\n    count: 3", "f.yaml:3: entries.a.at: is missing"),
        ("schema_version: 1\norder:\n  - at: 1\n  - count: 2", "f.yaml:4: order.1.at: is missing"),
        ("schema_version: 2", "f.yaml:1: schema_version: .*'1'"),
        ("schema_version: 1\nschema_version: 1", "f.yaml:2: schema_version: stands twice .*line 1"),
        ("schema_version: [", "f.yaml:1: not valid YAML"),
        ("", "schema_version: is missing"),
        ("schema_version: 1\nentries: S3cret", "f.yaml:2: entries: .*not text$"),
        ("schema_version: 1\norder: &a [*a]", "f.yaml:2: nested too deeply"),
    ],
)
def test_complaints_name_file_line_and_key(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_yaml(text, Form, "f.yaml")


def test_what_stands_where_a_section_belongs_is_not_repeated_it_may_be_a_secret() -> None:
    with pytest.raises(InputError) as refused:
        parse_yaml("schema_version: 1\nentries: S3cret", Form, "f.yaml")
    assert "S3cret" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: can't be read: No such file"):
        read_yaml(tmp_path / "none.yaml", Form)


def test_the_line_of_a_nested_key_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("schema_version: 1\norder:\n  - at: 1\n  - at: 2\n")
    assert line_of(path, "order", 1, "at") == 4
    assert line_of(path, "order", 7) is None
