"""Every statement of the portal's own that is not Django's, by name. Valid on CockroachDB and on PostgreSQL.

Each starts from an index and reads a bounded number of rows, but for BOOKS, which `auditor.books` asks seldom.
"""

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

# Where the newest events of a type or an account begin. An account's versions rise with its positions, so its
# index gives position order; ordering by position would tempt a planner to walk the whole journal instead.
NEWEST_OF_TYPE = """
SELECT position FROM journal WHERE event_type = %(event_type)s ORDER BY position DESC LIMIT 1 OFFSET %(skipped)s
"""
NEWEST_OF_AGGREGATE = """
SELECT position FROM journal
WHERE aggregate_id = %(aggregate_id)s AND %(event_type)s::text IN ('', event_type)
ORDER BY version DESC LIMIT 1 OFFSET %(skipped)s
"""
