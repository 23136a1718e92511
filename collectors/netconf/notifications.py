"""Pure: NETCONF notifications (RFC 5277) -> events: those of RFC 6470, and links by what vendors call them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from collectors.netconf.xml import Element, parse
from twin.vocab.events import Event

SOURCE = "netconf"
ENVELOPE = "urn:ietf:params:xml:ns:netconf:notification:1.0"
# what polling anew can show; a device may tell anything else of our own visits, and so ask for the next one
WORTH_A_POLL = frozenset({"configChange", "confirmedCommit", "capabilityChange", "linkUp", "linkDown"})
_NAMES = {
    "netconf-config-change": "configChange",
    "netconf-confirmed-commit": "confirmedCommit",
    "netconf-capability-change": "capabilityChange",
    "netconf-session-start": "sessionStart",
    "netconf-session-end": "sessionEnd",
}
_LINK = re.compile(r"(?:if|interface|hw)?-?link-?(?P<way>up|down)", re.IGNORECASE)
_SUBJECT_LEAVES = ("if-name", "ifName", "interface-name", "interface", "name", "resource", "peer", "neighbor-address")
_LONGEST_DETAIL = 500
_OURS = ("sessionStart", "sessionEnd")


def event_of(device: str, user: str, notification: str, at: datetime) -> Event | None:
    """The event a notification tells; None for what is none: the end of a replay, or a session of our own ``user``.

    Raises:
        PollError: it is not XML, or hostile.
    """
    root = parse(notification)
    told = next((child for child in root if child.tag != f"{{{ENVELOPE}}}eventTime"), None)
    if root.tag != f"{{{ENVELOPE}}}notification" or told is None or _uri(told) == ENVELOPE:
        return None
    name = _name(told)
    if name in _OURS and _leaf(told, "username") == user:
        return None
    return Event(device, name, _subject(name, told), SOURCE, _detail(told), at)


def _uri(element: Element) -> str:
    return element.tag[1:].partition("}")[0]


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _name(told: Element) -> str:
    link = _LINK.fullmatch(_local(told))
    return f"link{link['way'].capitalize()}" if link else _NAMES.get(_local(told), _local(told))


def _leaf(told: Element, name: str) -> str:
    """The text of the first element of this name, in any namespace."""
    return next((" ".join((e.text or "").split()) for e in told.iter(f"{{*}}{name}")), "")


def _of_leaves(told: Element) -> str:
    return next((text for name in _SUBJECT_LEAVES if (text := _leaf(told, name))), "")


_SUBJECTS: dict[str, Callable[[Element], str]] = {
    "configChange": lambda told: _leaf(told, "datastore") or "running",
    "confirmedCommit": lambda told: _leaf(told, "confirm-event"),
    "capabilityChange": lambda _told: "",
    "sessionStart": lambda told: _leaf(told, "username"),
    "sessionEnd": lambda told: _leaf(told, "username"),
}


def _subject(name: str, told: Element) -> str:
    return _SUBJECTS.get(name, _of_leaves)(told)[:_LONGEST_DETAIL]


def _detail(told: Element) -> str:
    """``leaf=text`` of all there is, on one line."""
    return ", ".join(_leaves(told))[:_LONGEST_DETAIL]


def _leaves(told: Element) -> Iterator[str]:
    for element in told.iter("{*}*"):
        text = " ".join((element.text or "").split())
        if len(element) == 0 and text:
            yield f"{_local(element)}={text}"
