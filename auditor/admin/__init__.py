"""What the portal shows of every model. Importing this package registers it."""

from auditor.admin import composite, event_store, oversight, projections, read_models, records, users  # noqa: F401
