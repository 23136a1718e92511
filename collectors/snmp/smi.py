"""Names out of MIB modules (SMIv2, RFC 2578 to 2580; SMIv1, RFC 1155, 1212, 1215), for people and not for polling.

Only what a name needs is read: OID assignments, the SYNTAX of objects, and enumerations. Texts, groups' members, ranges
and conformance are passed over, so a module with faults there still gives its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from collectors.snmp.names import NOTIFICATION, Names, Object
from collectors.snmp.wire import Oid
from twin.vocab.errors import UsageError

log = structlog.get_logger(__name__)

LARGEST_FILE, LARGEST_TOTAL = 4 << 20, 256 << 20  # octets
_SUFFIXES = ("", ".txt", ".mib", ".my", ".mi2", ".smi", ".smiv2")
_ROOTS: dict[str, Oid] = {
    "ccitt": (0,),
    "iso": (1,),
    "joint-iso-ccitt": (2,),
    "org": (1, 3),
    "dod": (1, 3, 6),
    "internet": (1, 3, 6, 1),
    "directory": (1, 3, 6, 1, 1),
    "mgmt": (1, 3, 6, 1, 2),
    "mib-2": (1, 3, 6, 1, 2, 1),
    "transmission": (1, 3, 6, 1, 2, 1, 10),
    "experimental": (1, 3, 6, 1, 3),
    "private": (1, 3, 6, 1, 4),
    "enterprises": (1, 3, 6, 1, 4, 1),
    "security": (1, 3, 6, 1, 5),
    "snmpV2": (1, 3, 6, 1, 6),
    "snmpDomains": (1, 3, 6, 1, 6, 1),
    "snmpProxys": (1, 3, 6, 1, 6, 2),
    "snmpModules": (1, 3, 6, 1, 6, 3),
    "zeroDotZero": (0, 0),
}
_NOT_READ = re.compile(r'"[^"]*"|--.*?(?:--|$)', re.MULTILINE)
_MODULE = re.compile(r"\b([A-Za-z][\w-]*)\s+(?:\{[^}]*\}\s*)?DEFINITIONS\s[\w\s]*::=\s*BEGIN\b")
_IMPORTS = re.compile(r"\bIMPORTS\b[^;]*;")
_BODY = r"((?:(?!::=)[^;])*?)"
_ASSIGNED = re.compile(
    r"\b([a-z][\w-]*)\s+(OBJECT\s+IDENTIFIER|OBJECT-TYPE|OBJECT-IDENTITY|MODULE-IDENTITY|NOTIFICATION-TYPE"
    rf"|OBJECT-GROUP|NOTIFICATION-GROUP|MODULE-COMPLIANCE|AGENT-CAPABILITIES)\b{_BODY}::=\s*\{{([^}}]*)\}}"
)
_TRAP = re.compile(rf"\b([a-z][\w-]*)\s+TRAP-TYPE\s+ENTERPRISE\s+\{{?\s*([a-z][\w-]*)\s*\}}?{_BODY}::=\s*(\d+)")
_CONVENTION = re.compile(rf"\b([A-Z][\w-]*)\s*::=\s*(?:TEXTUAL-CONVENTION\b{_BODY}SYNTAX\s+)?INTEGER\s*\{{([^}}]*)\}}")
_SYNTAX = re.compile(r"\bSYNTAX\s+(SEQUENCE\s+OF|OCTET\s+STRING|OBJECT\s+IDENTIFIER|[A-Z][\w.-]*)\s*(?:\{([^}]*)\})?")
_LABEL = re.compile(r"([a-z][\w-]*)\s*\(\s*(-?\d+)\s*\)")
_ARC = re.compile(r"(?:([a-z][\w-]*)\s*\(\s*(\d+)\s*\))|(\d+)|([A-Za-z][\w.-]*)")
_PLAIN = {"OCTET STRING": "OctetString", "OBJECT IDENTIFIER": "ObjectIdentifier", "INTEGER": "Integer32"}


@dataclass(frozen=True)
class Definition:
    """One assignment: ``parent`` is the name the OID begins with (empty: it is numeric)."""

    name: str
    parent: str
    arcs: Oid
    type: str = ""
    values: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """What one module defines; ``conventions``: enumerations by the name of their type."""

    name: str
    definitions: tuple[Definition, ...]
    conventions: Mapping[str, Mapping[int, str]]


def parse_modules(text: str) -> tuple[Module, ...]:
    """The modules of a file; none if it holds something else."""
    bare = _NOT_READ.sub(" ", text)
    headers = list(_MODULE.finditer(bare))
    ends = [*(header.start() for header in headers), len(bare)]
    return tuple(_module(h[1], bare[h.end() : end]) for h, end in zip(headers, ends[1:], strict=True))


def _module(name: str, text: str) -> Module:
    body = _IMPORTS.sub(" ", text, count=1)
    conventions = {found[1]: _labels(found[3]) for found in _CONVENTION.finditer(body)}
    return Module(name, (*_assigned(body), *_traps(body)), conventions)


def _assigned(body: str) -> Iterator[Definition]:
    for name, macro, inner, value in _ASSIGNED.findall(body):
        parent, arcs = _arcs(value)
        if not arcs:
            continue
        if macro == "NOTIFICATION-TYPE":
            yield Definition(name, parent, arcs, NOTIFICATION)
        elif macro == "OBJECT-TYPE" and (syntax := _SYNTAX.search(inner)):
            yield Definition(name, parent, arcs, _type(syntax[1]), _labels(syntax[2] or ""))
        else:
            yield Definition(name, parent, arcs)


def _traps(body: str) -> Iterator[Definition]:
    """SNMPv1's, as RFC 3584 numbers them: enterprise, 0, specific."""
    for name, enterprise, _, number in _TRAP.findall(body):
        if enterprise != "snmp":
            yield Definition(name, enterprise, (0, int(number)), NOTIFICATION)


def _type(syntax: str) -> str:
    """Rows and tables hold no value: their type is empty."""
    plain = " ".join(syntax.split())
    return "" if plain == "SEQUENCE OF" or plain.endswith("Entry") else _PLAIN.get(plain, plain)


def _labels(text: str) -> dict[int, str]:
    return {int(number): label for label, number in _LABEL.findall(text)}


def _arcs(value: str) -> tuple[str, Oid]:
    """``ifEntry 8`` -> (ifEntry, (8,)); ``iso org(3) 6`` -> (iso, (3, 6)); nothing that can't be read."""
    found = [(number or plain, name) for _, number, plain, name in _ARC.findall(value)]
    parent = found[0][1].rpartition(".")[2] if found else ""
    arcs = [number for number, _ in (found[1:] if parent else found)]
    return (parent, tuple(map(int, arcs))) if arcs and all(arcs) else ("", ())


def resolved(modules: Iterable[Module], known: Names) -> Names:
    """``known`` and what the modules name beyond; what hangs on a name nobody defines is left out."""
    listed = list(modules)
    return Names.of([*known, *_Resolver(listed, known).objects()])


class _Resolver:
    """A parent is looked for in its own module, then in the known names, then in any module."""

    def __init__(self, modules: Iterable[Module], known: Names) -> None:
        self._modules = list(modules)
        self._own = {(m.name, d.name): d for m in self._modules for d in m.definitions}
        self._any = {d.name: (m.name, d) for m in reversed(self._modules) for d in m.definitions}
        self._conventions = {n: v for m in reversed(self._modules) for n, v in m.conventions.items()}
        self._known = _ROOTS | {one.name: one.oid for one in known}
        self._found: dict[tuple[str, str], Oid | None] = {}

    def objects(self) -> Iterator[Object]:
        for module in self._modules:
            conventions = self._conventions | dict(module.conventions)
            for one in module.definitions:
                oid = self._oid(module.name, one)
                if oid is not None:
                    yield Object(oid, one.name, one.type, one.values or conventions.get(one.type, {}))

    def _oid(self, module: str, one: Definition) -> Oid | None:
        key = (module, one.name)
        if key not in self._found:
            self._found[key] = None  # a definition that hangs on itself ends here
            parent = self._parent(module, one.parent) if one.parent else ()
            self._found[key] = None if parent is None else parent + one.arcs
        return self._found[key]

    def _parent(self, module: str, name: str) -> Oid | None:
        if own := self._own.get((module, name)):
            return self._oid(module, own)
        if name in self._known:
            return self._known[name]
        return self._oid(*self._any[name]) if name in self._any else None


def read_folders(folders: Iterable[Path], known: Names) -> Names:
    """``known`` and the names in the MIB modules of these folders and those below.

    Raises:
        UsageError: there is no such folder.
    """
    modules: list[Module] = []
    total = 0
    for path in _files(folders):
        size = path.stat().st_size
        if size > LARGEST_FILE or total + size > LARGEST_TOTAL:
            log.warning("mib_too_large", file=str(path), octets=size)
            continue
        total += size
        modules += parse_modules(path.read_bytes().decode("utf-8", errors="replace"))
    return resolved(modules, known)


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: is no folder of MIB modules")
        yield from sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
