"""The ASGI application: Django's pages and API, and the auditor's websocket."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chronicle.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402  (Django must be set up first)

import chronicle.urls  # noqa: E402, F401  (every page is there before anybody asks for one)
from auditor.backpressure import patient  # noqa: E402
from auditor.routing import websocket_application  # noqa: E402
from chronicle import content_types  # noqa: E402
from chronicle.handler import Handler  # noqa: E402
from chronicle.processes import spare_the_collector  # noqa: E402
from chronicle.web_connections import bound_waits  # noqa: E402
from ledger.checks import require_locks  # noqa: E402

bound_waits()
content_types.remember()
# What is served could be changed if the locks on history were off: then nothing is served.
require_locks()
application = ProtocolTypeRouter({"http": patient(Handler()), "websocket": websocket_application})
spare_the_collector()
