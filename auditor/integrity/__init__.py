"""The integrity pages: verification, inclusion proofs drawn, evidence to take away, heads compared."""
