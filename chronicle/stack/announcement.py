"""What a person needs to know once the stack answers: the address, the sign-in, how to end it."""

from __future__ import annotations

import json

from chronicle.stack.plan import Plan

ACCOUNTS = ("auditor", "operator", "admin")


def announcement(plan: Plan) -> list[str]:
    credentials = json.loads(plan.folder.credentials_file.read_text())
    width = max(len(credentials[name]["username"]) for name in ACCOUNTS)
    sign_ins = [
        f"  sign in as {credentials[name]['username']:<{width}}  password {credentials[name]['password']}"
        for name in ACCOUNTS
    ]
    return [
        "",
        f"Chronicle Ledger is ready at {plan.url}/",
        *sign_ins,
        f"  API tokens are in {plan.folder.credentials_file}",
        "Ctrl-C stops it; the data is kept for the next start.",
        "",
    ]
