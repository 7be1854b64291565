"""Importing this module registers every list of the portal, in place of what Django and its libraries bring."""

from auditor.admin import composite, event_store, oversight, projections, read_models, records, users  # noqa: F401
