"""Which requests follow one another in a session: few, large, and the next source only where one had nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from collectors.failures import PollError
from collectors.netconf.found import Found, Topic, bounded, merge
from collectors.netconf.models import Model, Request, filter_of, requests
from collectors.netconf.xml import data_of, parse

Send = Callable[[Request], str]


class RefusedError(Exception):
    """The server answered one request with an rpc-error; the session lives on."""


@dataclass(frozen=True)
class Asked:
    """What was found, and a line for each request that was refused or unusable."""

    found: Found
    flags: tuple[str, ...] = ()


def ask(models: Sequence[Model], there: frozenset[str], topics: Collection[Topic], send: Send) -> Asked:
    """Ask for each topic until a source has something about it.

    Args:
        models: those offered, in order of preference.
        there: the namespaces offered.
        send: sends one request, returns the reply's text. Raises ``RefusedError`` for an rpc-error.

    Raises:
        PollError: the session failed.
    """
    waiting = {topic: [model for model in models if model.topic == topic] for topic in topics}
    found, flags = Found(), []
    while batch := [sources.pop(0) for topic, sources in waiting.items() if sources and topic not in found.topics]:
        for request in requests(batch, there):
            part, lines = _one(request, there, send)
            found = merge((found, part))
            flags += lines
    kept, told = bounded(found)
    return Asked(kept, (*flags, *told))


def _one(request: Request, there: frozenset[str], send: Send) -> tuple[Found, list[str]]:
    """One request; a filter of many models that is refused is asked for a model at a time."""
    try:
        return _read(request, send(request)), []
    except RefusedError as problem:
        if len(request.models) == 1:
            (model,) = request.models
            return Found(), [] if model.optional else [f"{model.name}: {problem}"]
    alone = [_one(Request((model,), filter_of((model,), there)), there, send) for model in request.models]
    return merge(found for found, _ in alone), [flag for _, flags in alone for flag in flags]


def _read(request: Request, reply: str) -> Found:
    """Raises: RefusedError: the reply is unusable (PollError of the parser): the other sources may still do."""
    try:
        root = parse(reply) if request.operation else data_of(reply)
    except PollError as problem:
        raise RefusedError(problem.reason) from None
    return merge(model.read(root) for model in request.models)
