"""Every statement of the portal's own that is not Django's, by name. Valid on CockroachDB and on PostgreSQL.

Each starts from an index and reads a bounded number of rows, but for BOOKS, which `auditor.books` asks seldom.
"""

from ledger.store.sql import EVENT_COLUMNS

HEAD_POSITION = (
    "SELECT coalesce(max(position), 0) FROM (SELECT position FROM journal ORDER BY position DESC LIMIT 1) AS head"
)

RATE = """
SELECT count(*), min(sequenced_at), clock_timestamp()
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT %s) AS newest
WHERE sequenced_at > clock_timestamp() - %s * interval '1 second'
"""

COUNTS_BY_AGE = """
SELECT floor(extract(epoch FROM clock_timestamp() - sequenced_at))::int AS age_s, count(*)
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT %s) AS newest
WHERE sequenced_at > clock_timestamp() - %s * interval '1 second' GROUP BY 1
"""

OUTBOX_WAITING = "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT %s) AS counted"

SEQUENCED_AT = "SELECT sequenced_at FROM journal WHERE position = %s"

# On the read model. Balances from one table, what moved them from another, in one statement and so one snapshot.
BOOKS = """
SELECT currency, sum(accounts), sum(balance_minor), sum(moved_minor)
FROM (
    SELECT currency, 1 AS accounts, balance_minor, 0 AS moved_minor FROM accounts
    UNION ALL
    SELECT currency, 0, 0, amount_minor FROM transactions
) AS books
GROUP BY currency ORDER BY currency
"""

_PAGE = f"""
SELECT {EVENT_COLUMNS}, j.position, j.command_id, j.command_index, j.command_size, j.running_hash
FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.position > %(after)s AND j.position <= %(up_to)s AND {{condition}} ORDER BY j.{{order}} LIMIT %(limit)s
"""  # noqa: S608 (made of constants)
_NEWEST = """
SELECT j.position FROM journal AS j WHERE {condition} ORDER BY j.{order} DESC LIMIT 1 OFFSET %(skipped)s
"""
# An aggregate's versions rise with its positions, so the index of (aggregate_id, version) gives position order too.
# Ordering by position instead would tempt a planner to walk the whole journal for the first few of an account.
_BY_TYPE = {"condition": "j.event_type = %(event_type)s", "order": "position"}
_BY_AGGREGATE = {"condition": "j.aggregate_id = %(aggregate_id)s", "order": "version"}
_BY_BOTH = {"condition": f"{_BY_AGGREGATE['condition']} AND {_BY_TYPE['condition']}", "order": "version"}

PAGE_BY_TYPE, PAGE_BY_AGGREGATE, PAGE_BY_BOTH = (_PAGE.format(**by) for by in (_BY_TYPE, _BY_AGGREGATE, _BY_BOTH))
NEWEST_BY_TYPE, NEWEST_BY_AGGREGATE, NEWEST_BY_BOTH = (
    _NEWEST.format(**by) for by in (_BY_TYPE, _BY_AGGREGATE, _BY_BOTH)
)
