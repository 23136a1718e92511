"""The XML namespaces of the YANG modules in use, in lxml's ``{namespace}`` form, and the one safe XML parser."""

from __future__ import annotations

from typing import TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element  # noqa: SLF001 lxml has no public name for it

BASE = "{urn:ietf:params:xml:ns:netconf:base:1.0}"
IF = "{urn:ietf:params:xml:ns:yang:ietf-interfaces}"
IP = "{urn:ietf:params:xml:ns:yang:ietf-ip}"
SYS = "{urn:ietf:params:xml:ns:yang:ietf-system}"
RT = "{urn:ietf:params:xml:ns:yang:ietf-routing}"
V4UR = "{urn:ietf:params:xml:ns:yang:ietf-ipv4-unicast-routing}"
NLR = "{urn:nettwin:lab:router}"
IANA = "{urn:ietf:params:xml:ns:yang:iana-if-type}"


def parser() -> etree.XMLParser:
    """No entities, no network, no document type's content, no huge trees, comments dropped."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
