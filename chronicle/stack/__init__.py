"""The embedded stack behind `make run`: PostgreSQL, nats-server and the three services under one supervisor.

Nothing in here is needed by a deployment that brings its own servers: `docker compose` and every other
production start run the same management commands without this package. The tests use `postgres` and `nats`
from here to start the real servers they run against. Start reading at `__main__`.
"""
