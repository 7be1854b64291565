"""Which role may see and do what in the portal. What is not named here is only ever looked at, by nobody changed.

`chronicle.roles` says who has which role; a superuser has all of them.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from chronicle.roles import Role, roles_of
from ledger.api.authentication import MayCommand

READERS = frozenset(Role)
# Not the operator: whom an auditor looks at is not for the audited to know.
OVERSEERS = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
# To try parked events again changes no event and no rule: it lets the read model catch up with what is written.
REPAIRERS = frozenset({Role.ADMINISTRATOR})
USER_MANAGERS = frozenset({Role.ADMINISTRATOR})
# As the API's: an auditor changes nothing, or would be looking at what they did themselves.
COMMANDERS = MayCommand.roles


def may_read(request: HttpRequest) -> bool:
    return _has_one(request, READERS)


def may_oversee(request: HttpRequest) -> bool:
    return _has_one(request, OVERSEERS)


def may_repair(request: HttpRequest) -> bool:
    return _has_one(request, REPAIRERS)


def may_manage_users(request: HttpRequest) -> bool:
    return _has_one(request, USER_MANAGERS)


def may_command(request: HttpRequest) -> bool:
    """Move money and freeze accounts."""
    return _has_one(request, COMMANDERS)


def roles_in(request: Any) -> frozenset[Role]:
    """Ask for the roles once a request: a page asks for them a dozen times."""
    if not hasattr(request, "_portal_roles"):
        request._portal_roles = roles_of(request.user)
    found: frozenset[Role] = request._portal_roles
    return found


def _has_one(request: Any, wanted: frozenset[Role]) -> bool:
    return not roles_in(request).isdisjoint(wanted)
