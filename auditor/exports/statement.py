"""An account's statement as an export: the lines that its page shows under the same filter, all of them.

The page reads a bounded number of lines at once; an export goes on to the account's first.
"""

from __future__ import annotations

from django.http import QueryDict

from auditor import access_log
from auditor.exports.source import NoSuchList, TableSource
from auditor.past.statement import StatementForm, lines_of
from projections.selectors import account

LABEL, NAME = "statement", "Statement"
ACCOUNT = "account_id"


def open_source(given: QueryDict) -> TableSource:
    """Return the lines asked for, the newest first. Raises: NoSuchList."""
    row = account(given.get(ACCOUNT, "")).row
    if row is None:
        raise NoSuchList("there is no such account")
    form = StatementForm(given)
    if not form.is_valid():
        raise NoSuchList("the statement cannot be narrowed like that")
    return TableSource(lines_of(row.account_id, row.currency, form.cleaned_data), ("-position",))


def subjects(given: QueryDict) -> list[tuple[str, str]]:
    return [(access_log.ACCOUNT, str(given[ACCOUNT]))]
