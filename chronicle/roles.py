"""Who may do what: three roles, each a Django group of the same name.

An auditor reads everything and changes nothing; an operator issues commands; an administrator manages users.
A superuser has every role. The groups carry the permissions that Django's admin asks for; whoever guards an
API call or a page asks `has_role`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission
from django.db.models import Q, QuerySet


class Role(StrEnum):
    AUDITOR = "auditor"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


def roles_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[Role]:
    """Return the roles of a user who is signed in and active; nobody else has any."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return frozenset(Role)
    names = set(Group.objects.filter(user=user.pk).values_list("name", flat=True))
    return frozenset(role for role in Role if role.value in names)


def has_role(user: AbstractBaseUser | AnonymousUser, *roles: Role) -> bool:
    """Return whether the user has at least one of these roles."""
    return not roles_of(user).isdisjoint(roles)


def create_groups(**_signal_arguments: Any) -> dict[Role, Group]:
    """Make the groups and give them their permissions; once they are right, a further call changes nothing.

    It can be connected to `post_migrate` as it is.
    """
    groups = {}
    for role in Role:
        group, _ = Group.objects.get_or_create(name=role.value)
        group.permissions.set(_permissions(role))
        groups[role] = group
    return groups


def _permissions(role: Role) -> QuerySet[Permission]:
    viewing = Q(codename__startswith="view_")
    match role:
        case Role.AUDITOR:
            return Permission.objects.filter(viewing)
        case Role.OPERATOR:
            return Permission.objects.filter(viewing, content_type__app_label__in=("ledger", "projections"))
        case Role.ADMINISTRATOR:
            users = Q(content_type__app_label__in=("auth", "knox"))
            return Permission.objects.filter(viewing | users)
