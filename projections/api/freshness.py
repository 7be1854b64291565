"""Read your writes: a query waits for the version its account has in the event store, up to a bound.

Normally the read model is milliseconds behind, and the first look finds everything. A caller who names
`min_version` or `min_position` would rather be told `not_yet` than get an older answer; for everyone else an
answer that is a second old, and says for which position it is true, is better than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rest_framework.request import Request

from ledger import selectors as ledger
from ledger.api import parameters, waiting
from ledger.api.base import in_thread
from ledger.domain.errors import AccountNotFound
from ledger.errors import NotYet

WAIT_S, ASKED_WAIT_S = 1.0, waiting.ASKED_WAIT_S  # by default, and for a caller who asked for something


class Positioned(Protocol):
    @property
    def position(self) -> int: ...


T = TypeVar("T")
P = TypeVar("P", bound=Positioned)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller wants to see in the answer: a version of the account, a position of the journal."""

    min_version: int | None
    min_position: int

    @classmethod
    def of(cls, request: Request) -> Asked:
        version = parameters.number(request, "min_version", -1)
        return cls(None if version < 0 else version, waiting.min_position(request))

    @property
    def wait_s(self) -> float:
        return ASKED_WAIT_S if self.min_version is not None or self.min_position else WAIT_S


async def fresh(account_id: str, asked: Asked, look: Callable[[], T], version_of: Callable[[T], int],
                position_of: Callable[[T], int]) -> T:  # fmt: skip
    """Return what `look` finds of an account once it has the version and the position wanted.

    **Raises** AccountNotFound when the event store has no such account; NotYet when the read model has none
    of it yet, or not what was asked for.
    """
    head, found = await in_thread(_first_look, account_id, look)
    wanted = head if asked.min_version is None else max(1, asked.min_version)

    def is_enough(found: T) -> bool:
        return version_of(found) >= wanted and position_of(found) >= asked.min_position

    found = await waiting.look_until(is_enough, look, asked.wait_s, found)
    version = version_of(found)
    if version == 0 or (asked.min_version is not None and version < wanted):
        detail = f"the read model has account {account_id} at version {version}, not yet at {wanted}"
        raise NotYet(detail, account_id=account_id, version=version, min_version=wanted)
    waiting.check_position(position_of(found), asked.min_position, "the read model")
    return found


async def reached(request: Request, look: Callable[[], P], at_least: int = 0) -> P:
    """Return what `look` finds once it takes in a position.

    `at_least`: one that is waited for a moment, and done without when it takes longer. **Raises** NotYet when the
    read model does not reach the `min_position` that was asked for.
    """
    wanted = waiting.min_position(request)
    found = await in_thread(look)
    target, wait_s = max(wanted, at_least), ASKED_WAIT_S if wanted else WAIT_S
    found = await waiting.look_until(lambda found: found.position >= target, look, wait_s, found)
    waiting.check_position(found.position, wanted, "the read model")
    return found


def _first_look(account_id: str, look: Callable[[], T]) -> tuple[int, T]:
    head = ledger.head_version(account_id)
    if not head:
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    return head, look()
