"""Subtree filters (RFC 6241 section 6): what state to ask for. The configuration is asked for whole."""

from __future__ import annotations

INTERFACES_NAMESPACE = "urn:ietf:params:xml:ns:yang:ietf-interfaces"

# RFC 7223 keeps state apart; RFC 8343 (NMDA) has it beside the configuration. Both are asked for in one request.
INTERFACES_STATE = (
    '<filter xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" type="subtree">'
    f'<interfaces-state xmlns="{INTERFACES_NAMESPACE}"/><interfaces xmlns="{INTERFACES_NAMESPACE}"/>'
    "</filter>"
)
