"""Reads events of an older schema: from what was stored to what the code of today expects.

What is stored is never touched, so hashes and proofs of old events hold; an upcaster works on a copy, one
version at a time. Adding one is a function here and a higher `schema_version` on the event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]


def _without_exchange_rate(data: Data) -> Data:
    """Version 1 knew no currency exchange."""
    return {**data, "exchange_rate": None}


def _without_reversal(data: Data) -> Data:
    """Version 2 knew no reversal."""
    return {**data, "reverses": None}


def _without_transfer(data: Data) -> Data:
    """Version 1 of a capture knew no transfer in steps."""
    return {**data, "transfer_id": None}


# (event type, version it reads) → function to the next version
UPCASTERS: dict[tuple[str, int], Callable[[Data], Data]] = {
    ("MoneyDeposited", 1): _without_exchange_rate,
    ("MoneyWithdrawn", 1): _without_exchange_rate,
    ("MoneyDeposited", 2): _without_reversal,
    ("MoneyWithdrawn", 2): _without_reversal,
    ("HoldCaptured", 1): _without_transfer,
}


def upcast(event_type: str, schema_version: int, data: Data) -> Data:
    """Return the data as the newest version of its event type would have it."""
    while step := UPCASTERS.get((event_type, schema_version)):
        data, schema_version = step(data), schema_version + 1
    return data
