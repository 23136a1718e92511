"""What the wiring makes of the settings."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.pysnmp_engine import PysnmpEngine
from twin.app.settings import Settings, load_settings
from twin.app.wiring import engine_of, poller_of


def settings(folder: Path, collect: str = "{}") -> Settings:
    (folder / "nettwin.yaml").write_text(f"schema_version: 1\ncollect: {collect}\n")
    return load_settings(folder / "nettwin.yaml")


def test_the_engine_is_the_fast_one_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert engine_of(settings(tmp_path)) is FastEngine
    assert engine_of(settings(tmp_path, "{snmp_engine: pysnmp}")) is PysnmpEngine


def test_a_socket_for_each_device_asked_at_once_may_be_open(tmp_path: Path) -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip("the system allows few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    try:
        with poller_of(settings(tmp_path, "{concurrency: 800}")):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 800
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
