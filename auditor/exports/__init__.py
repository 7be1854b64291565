"""Exports: any list of the portal as a file, streamed in pieces that are as small for ten million rows as for ten."""
