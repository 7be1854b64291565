"""The pages that are more than a table: an account, its past, the books as of, a transfer, each a module here."""
