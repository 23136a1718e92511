"""Pure: what can be asked of a device, decided by its capabilities alone (RFC 6241 section 8, RFC 7950 5.6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from collectors.netconf.found import Found, Topic
from collectors.netconf.xml import BASE, Element, Names, parse

Read: TypeAlias = Callable[[Element], Found]
NOTIFICATION = "urn:ietf:params:netconf:capability:notification:1.0"
YANG_LIBRARY = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
_LIBRARY_CAPABILITY = "urn:ietf:params:netconf:capability:yang-library:"


@dataclass(frozen=True)
class Subtree:
    """One element of a subtree filter (RFC 6241 section 6), asked for where its namespace is offered."""

    namespace: str
    xml: str


@dataclass(frozen=True)
class Model:
    """One source of one topic. It is offered where the namespace of its first subtree is.

    ``operation``: the name of a read-only RPC that is sent instead of a filter, for Junos, which has its state nowhere
    else; ``optional``: a refusal only says that the device does not run it; ``verified``: by what its reading was
    checked.
    """

    name: str
    topic: Topic
    subtrees: tuple[Subtree, ...]
    read: Read
    verified: str
    operation: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Request:
    """One RPC: a filter of all its models together, or one operation."""

    models: tuple[Model, ...]
    filter: str = ""
    operation: str = ""


def namespaces(capabilities: Iterable[str]) -> frozenset[str]:
    """The namespaces that capabilities announce: what stands before their parameters."""
    return frozenset(capability.strip().partition("?")[0] for capability in capabilities)


def needs_library(models: Sequence[Model], there: frozenset[str]) -> bool:
    """Whether only the YANG library tells the modules: always with NMDA (RFC 8526), else where the hello names none.

    It is large, and not every server tells it well (netconfd 2.13 dies of being asked often).
    """
    nmda, before_nmda = f"{_LIBRARY_CAPABILITY}1.1", f"{_LIBRARY_CAPABILITY}1.0"
    return nmda in there or (before_nmda in there and not offered(models, there))


LIBRARY_FILTER = (
    f'<modules-state xmlns="{YANG_LIBRARY}"><module><name/><revision/><namespace/></module></modules-state>'
    f'<yang-library xmlns="{YANG_LIBRARY}"><module-set><name/><module><name/><namespace/></module></module-set>'
    "</yang-library>"
)


def library_namespaces(reply: str) -> frozenset[str]:
    """The namespaces of the implemented modules in the YANG library (RFC 7895, RFC 8525).

    Raises:
        PollError: the reply is unusable.
    """
    root = parse(reply)
    wanted = Names(YANG_LIBRARY)("namespace")
    return frozenset(text.strip() for element in root.iter(wanted) if (text := element.text))


def offered(models: Sequence[Model], there: frozenset[str]) -> tuple[Model, ...]:
    """Those models that can be asked for, in order of preference."""
    return tuple(model for model in models if model.subtrees[0].namespace in there)


def requests(models: Sequence[Model], there: frozenset[str]) -> tuple[Request, ...]:
    """All filters in one <get>; each operation by itself."""
    filtered = tuple(model for model in models if not model.operation)
    together = (Request(filtered, filter_of(filtered, there)),) if filtered else ()
    return together + tuple(Request((m,), operation=m.operation) for m in models if m.operation)


def filter_of(models: Sequence[Model], there: frozenset[str]) -> str:
    """The content of the filter; an element wanted by two models stands in it once."""
    parts = [subtree.xml for model in models for subtree in model.subtrees if subtree.namespace in there]
    return "".join(dict.fromkeys(parts))


def wrapped(content: str) -> str:
    return f'<filter xmlns="{BASE}" type="subtree">{content}</filter>'
