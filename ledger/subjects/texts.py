"""Opens sealed texts where events are shown or projected: the one way from what is recorded to what people read.

A text whose key is destroyed reads `[erased]`; a text from before sealing reads as it was written. What is stored,
hashed, proven, published on the bus and exported as evidence is never opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import structlog

from ledger.domain.account import ERASED
from ledger.domain.commands import FREE_TEXT
from ledger.store.journal import Sequenced
from ledger.store.recorded import RecordedEvent
from ledger.subjects.keys import RING
from ledger.subjects.seal import NotOpened, is_sealed, key_id_of, key_ids_of

log = structlog.get_logger()
# What is shown when the portal's database never had the key, or the text is not what it sealed: an incident.
UNREADABLE = "[unreadable]"
# A text that one command passes on to another is sealed again around the first seal; nothing passes it on thrice.
LAYERS_MAX = 3


def open_texts(sealed: Iterable[str], gone: Set[str] = frozenset()) -> dict[str, str]:
    """Return what each sealed text says. `gone`: ids of keys that open nothing, also while they still stand.

    Raises: KeysUnavailable.

    **Shape** one query for all keys that are not cached, however many texts there are.
    """
    wanted = {text: key_ids_of(text) for text in set(sealed)}
    if not wanted:
        return {}
    keys = RING.to_open(set(wanted.values()))
    opened: dict[str, str] = {}
    for text, ids in wanted.items():
        if ids not in keys:
            log.error("alarm: a sealed text has no key", key_ids=ids)
            opened[text] = UNREADABLE
        elif (key := keys[ids]) is None or not gone.isdisjoint(ids):
            opened[text] = ERASED
        else:
            try:
                opened[text] = key.open(text)
            except NotOpened as error:
                log.error("alarm: a sealed text cannot be opened", error=str(error))
                opened[text] = UNREADABLE
    return opened


def open_all(objects: Sequence[dict[str, Any]], gone: Set[str] = frozenset()) -> list[dict[str, Any]]:
    """Return JSON objects (an event's data or state, a command) with their free texts opened; none is changed."""
    opened = list(objects)
    sealed = [(index, found) for index, object_ in enumerate(objects) if (found := sealed_in(object_))]
    for _ in range(LAYERS_MAX):
        if not sealed:
            break
        texts = open_texts((text for _, found in sealed for text in found.values()), gone)
        for index, found in sealed:
            opened[index] = opened[index] | {name: texts[text] for name, text in found.items()}
        has_more = any(is_sealed(text) for text in texts.values())
        sealed = [(index, again) for index, _ in sealed if (again := sealed_in(opened[index]))] if has_more else []
    return opened


def open_within(values: Sequence[Any]) -> list[Any]:
    """Return JSON values with every sealed text in them opened, however deep it lies; for lists and pages of rows."""
    opened = list(values)
    for _ in range(LAYERS_MAX):
        sealed = {text for value in opened for text in _sealed_within(value)}
        if not sealed:
            break
        texts = open_texts(sealed)
        opened = [_replaced(value, texts) for value in opened]
    return opened


def _sealed_within(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if is_sealed(value):
            yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _sealed_within(part)


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, dict):
        return {name: _replaced(part, texts) for name, part in value.items()}
    return [_replaced(part, texts) for part in value] if isinstance(value, list) else value


def sealed_in(object_: dict[str, Any]) -> dict[str, str]:
    """Return the sealed texts of an object by their field's name."""
    found = {}
    for name in FREE_TEXT:
        text = object_.get(name)
        if text and is_sealed(text):
            found[name] = text
    return found


def open_recorded(events: Sequence[RecordedEvent], gone: Set[str] = frozenset()) -> list[RecordedEvent]:
    """Return events as people read them. Their hashes are those of what is recorded, not of this."""
    opened = open_all([part for event in events for part in (event.data, event.state)], gone)
    return [
        event if data is event.data and state is event.state else event._replace(data=data, state=state)
        for event, data, state in zip(events, opened[::2], opened[1::2], strict=True)
    ]


def open_events(events: Sequence[Sequenced]) -> list[Sequenced]:
    """Return whole commands as projections read them; `gone_with` says what stays shut."""
    opened = open_recorded([sequenced.event for sequenced in events], gone_with(events))
    return [s if s.event is event else s._replace(event=event) for s, event in zip(events, opened, strict=True)]


def open_data(events: Sequence[Sequenced]) -> list[Sequenced]:
    """Return whole commands with what each says opened, and the states after them as they are recorded.

    **Why** every state repeats the owner's name: opening it with each event was half the cost of a rebuild's texts.
    """
    opened = open_all([sequenced.event.data for sequenced in events], gone_with(events))
    return [
        s if data is s.event.data else s._replace(event=s.event._replace(data=data))
        for s, data in zip(events, opened, strict=True)
    ]


def gone_with(events: Iterable[Sequenced]) -> Set[str]:
    """Return the ids of the keys that open nothing after these events, and after those that were asked about before.

    **Why** what an erasure on record has made unreadable is not opened, even if the key still stands: a transfer in
    steps may be started on what its target was just before the erasure, and be ordered after it, or be settled after
    it with a text from before it; and no later event would make that forgotten.
    """
    for event, *_ in events:
        for generation in range(event.state.get("erasures", 0)):
            RING.note_gone(key_id_of(event.aggregate_id, generation))
    return RING.gone


def open_envelopes(envelopes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return envelopes as people read them.

    `sealed` holds what is recorded in place of the opened texts: put `sealed.data` back over `data`, and
    `sealed.state` over `state`, and the event's hash can be computed from the envelope.
    """
    opened = open_all([envelope[part] for envelope in envelopes for part in ("data", "state")])
    return [
        _with_opened(envelope, data, state)
        for envelope, data, state in zip(envelopes, opened[::2], opened[1::2], strict=True)
    ]


def _with_opened(envelope: dict[str, Any], data: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    sealed = {"data": sealed_in(envelope["data"]), "state": sealed_in(envelope["state"])}
    if not sealed["data"] and not sealed["state"]:
        return envelope
    return {**envelope, "data": data, "state": state, "sealed": sealed}
