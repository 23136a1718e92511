"""The group ``nettwin snmp``; its commands stand in files of their own."""

from __future__ import annotations

import typer

from twin.app.cli import snmp_ask, snmp_listen, snmp_profiles, snmp_record

app = typer.Typer(no_args_is_help=True, help="Ask one device over SNMP, and look after device profiles. Reads only.")
for part in (
    snmp_ask,
    snmp_listen,
    snmp_profiles,
    snmp_record,
):
    part.register(app)
