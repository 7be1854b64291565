"""`manage.py create_demo_users`: one account for each role, for a stack on a person's own machine.

Passwords and tokens are random and made once: what the credentials file says and still works is kept, what
does not work any more is made anew. An account of the same name that this command did not make is never
touched.
"""

from __future__ import annotations

import json
import secrets
import string
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from chronicle.processes import LeanCommand
from chronicle.roles import Role, create_groups
from chronicle.stack.files import write_private

# An address that can receive nothing (RFC 2606) marks the accounts that this command may change.
DEMO_DOMAIN = "demo.invalid"
ROLE_BY_USERNAME = {"auditor": Role.AUDITOR, "operator": Role.OPERATOR, "admin": Role.ADMINISTRATOR}
# About 95 bits, typed without shift keys and without characters that look alike.
PASSWORD_LENGTH = 20
PASSWORD_CHARACTERS = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("il1o0")))


class Command(LeanCommand):
    help = "Creates the users auditor, operator and admin and writes their passwords and tokens to a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--credentials", type=Path, required=True, help="the file to read and write, mode 0600")
        parser.add_argument("--url", required=True, help="the address that the file names")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["credentials"]
        known = read_credentials(path)
        groups = create_groups()
        credentials: dict[str, Any] = {"url": options["url"]}
        for username, role in ROLE_BY_USERNAME.items():
            user = demo_user(username)
            user.groups.set([groups[role]])
            credentials[username] = working_credentials(user, known.get(username, {}))
        write_private(path, json.dumps(credentials, indent=2) + "\n")


def read_credentials(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON; remove it to have new credentials made.") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name, {}), dict) for name in ROLE_BY_USERNAME):
        raise CommandError(f"{path} holds no credentials; remove it to have new ones made.")
    return content


def demo_user(username: str) -> User:
    """Return the demo account of this name, made if need be."""
    email = f"{username}@{DEMO_DOMAIN}"
    user, _ = User.objects.get_or_create(username=username, defaults={"email": email})
    if user.email != email:
        raise CommandError(f"A user named {username} exists and is not a demo account; it was left as it is.")
    # Everyone signs in to the portal; what they find there depends on their role.
    user.is_active = user.is_staff = True
    user.is_superuser = username == "admin"
    user.save()
    return user


def working_credentials(user: User, known: dict[str, str]) -> dict[str, str]:
    """Return credentials that work, with as much as possible of what is known."""
    password, token = known.get("password", ""), known.get("token", "")
    if not password or not user.check_password(password):
        password = "".join(secrets.choice(PASSWORD_CHARACTERS) for _ in range(PASSWORD_LENGTH))
        user.set_password(password)
        user.save()
    if not token or not is_working_token(user, token):
        # Whoever has an old one lost the file that named it: it should not work for ever.
        AuthToken.objects.filter(user=user).delete()
        _, token = AuthToken.objects.create(user=user, expiry=None)
    return {"username": user.get_username(), "password": password, "token": token}


def is_working_token(user: User, token: str) -> bool:
    try:
        found, _ = TokenAuthentication().authenticate_credentials(token.encode())
    except AuthenticationFailed:
        return False
    return bool(found == user)
