"""What a websocket client asks for, read from the query string, and how it is refused.

| close code | frame's `code` | what to do |
|---|---|---|
| 4400 | bad_parameters | ask differently |
| 4401 | not_signed_in | sign in, or send a token that works |
| 4403 | no_role | ask an administrator for the role |
| 4429 | too_many_subscribers | come again later |
| 4503 | store_unavailable, database_unavailable | come again later |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qs

from auditor.live_events import Filter
from ledger.domain.events import EVENT_TYPES

BAD_PARAMETERS, NOT_SIGNED_IN, NO_ROLE, TOO_MANY, UNAVAILABLE = 4400, 4401, 4403, 4429, 4503
# `only=status` leaves the events out, for pages that show numbers.
FILTERS = ("event_type", "aggregate_id", "min_amount", "max_amount", "text")
PARAMETERS = ("after", *FILTERS, "only")
TEXT_LENGTH_MAX = 200
AGGREGATE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# As many digits as a balance can have; the exponents and infinities that Decimal knows too are no amounts.
AMOUNT = re.compile(r"[0-9]{1,16}(\.[0-9]{1,6})?", re.ASCII)
POSITION = re.compile(r"[0-9]{1,18}", re.ASCII)


class Refused(Exception):
    """The client gets this error and the connection closes with `close_code`."""

    def __init__(self, close_code: int, code: str, error: str) -> None:
        super().__init__(error)
        self.close_code, self.code, self.error = close_code, code, error


@dataclass(frozen=True, slots=True)
class Request:
    """`after`: the position to begin after; the head, when none was given."""

    after: int
    wanted: Filter
    is_status_only: bool


def parse(query_string: bytes, head_position: int) -> Request:
    """Return what the query string asks for. Raises: Refused."""
    given = parse_qs(query_string.decode("latin-1"), keep_blank_values=True)
    if unknown := given.keys() - set(PARAMETERS):
        raise _bad(f"unknown parameter {min(unknown)!r}; there are {', '.join(PARAMETERS)}")
    single = {name: given.get(name, [""])[-1] for name in PARAMETERS}
    after, only = single["after"], single["only"]
    wanted = filter_of(single)
    if only not in ("", "status"):
        raise _bad("only is status, or left out")
    if after and not POSITION.fullmatch(after):
        raise _bad("after is a position, a whole number from 0")
    if after and int(after) > head_position:
        raise _bad(f"after is {after}, and the journal ends at {head_position}: is this the same ledger?")
    return Request(int(after) if after else head_position, wanted, only == "status")


def filter_of(given: Mapping[str, str]) -> Filter:
    """Return the filter that these parameters name; those that are missing or empty name none. Raises: Refused."""
    event_type, aggregate_id, min_amount, max_amount, text = (given.get(name, "") for name in FILTERS)
    if event_type and event_type not in EVENT_TYPES:
        raise _bad(f"event_type is one of {', '.join(EVENT_TYPES)}")
    if aggregate_id and not AGGREGATE_ID.fullmatch(aggregate_id):
        raise _bad("aggregate_id is 1 to 64 of A-Z a-z 0-9 . _ : -")
    if len(text) > TEXT_LENGTH_MAX:
        raise _bad(f"text is at most {TEXT_LENGTH_MAX} characters")
    return Filter(event_type, aggregate_id, _amount("min_amount", min_amount), _amount("max_amount", max_amount), text)


def _amount(name: str, text: str) -> Decimal | None:
    if text and not AMOUNT.fullmatch(text):
        raise _bad(f"{name} is an amount such as 100 or 99.50, without sign or currency")
    return Decimal(text) if text else None


def _bad(error: str) -> Refused:
    return Refused(BAD_PARAMETERS, "bad_parameters", error)
