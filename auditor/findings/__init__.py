"""Findings: what auditors note about events and accounts. The portal's own, and nothing of the ledger's."""
