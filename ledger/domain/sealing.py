"""Rules for the keys of the log."""

from __future__ import annotations

from ledger.domain.commands import RotateLogKey
from ledger.domain.decision import Context, Decided, States
from ledger.domain.errors import InvalidSuccession
from ledger.domain.events import LOG_KEYS, LogKeyRotated
from ledger.domain.log_keys import LogKeys


def rotate_log_key(command: RotateLogKey, state: States, context: Context) -> list[Decided]:
    log_keys = state[LOG_KEYS]
    used = log_keys.keys if isinstance(log_keys, LogKeys) else (command.old_key,)
    if command.old_key != used[-1]:
        raise InvalidSuccession("the key that is to give way is not the one that signs now")
    if command.new_key in used:
        raise InvalidSuccession("the key that is to take over has signed before")
    return [Decided(LOG_KEYS, LogKeyRotated(command.old_key, command.new_key, command.note))]
