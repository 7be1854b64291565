"""All movements of one owner in a period as an export: account by account, the newest line of each first.

Named by one of the accounts, so that the export's record names nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import QueryDict

from auditor import access_log
from auditor.admin.keyset import led_to
from auditor.exports.columns import columns_of
from auditor.exports.source import NoSuchList, TableSource
from auditor.past.owner import PeriodForm, Places, accounts_of_owner_of, places
from projections.models import Transaction

LABEL, NAME = "owner", "Movements of an owner"
ACCOUNT = "account_id"


class OwnerSource:
    def __init__(self, where: Places) -> None:
        self._where = where
        self.columns = columns_of(Transaction)

    def pieces(self) -> Iterator[list[list[Any]]]:
        for source in self._sources():
            yield from source.pieces()

    def count(self) -> int | None:
        counts = [source.count() for source in self._sources()]
        return None if None in counts else sum(count or 0 for count in counts)

    def _sources(self) -> Iterator[TableSource]:
        where = self._where
        for account_id, first, last in zip(where.account_ids, where.firsts, where.lasts, strict=True):
            lines = Transaction.objects.filter(position__range=(first, last))
            yield TableSource(led_to(lines, ("account_id", "-position"), account_id), ("-position",))


def open_source(given: QueryDict) -> OwnerSource:
    """Raises: NoSuchList, StoreUnavailable."""
    accounts = accounts_of_owner_of(given.get(ACCOUNT, ""))
    if not accounts:
        raise NoSuchList("there is no such account")
    form = PeriodForm(given)
    if not form.is_valid():
        raise NoSuchList("a period is from an instant on, before another")
    ids = [account.account_id for account in accounts]
    return OwnerSource(places(ids, form.cleaned_data["since"], form.cleaned_data["until"]))


def subjects(given: QueryDict) -> list[tuple[str, str]]:
    return [(access_log.ACCOUNT, account.account_id) for account in accounts_of_owner_of(str(given[ACCOUNT]))]
