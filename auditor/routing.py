"""The websockets' addresses. `chronicle.asgi` puts them beside Django's pages."""

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.urls import path, re_path

from auditor.consumers import EventsConsumer
from auditor.handshake import TokenOrSameOrigin
from auditor.jobs.consumer import JobConsumer

websocket_application = TokenOrSameOrigin(
    URLRouter(
        [
            path("ws/events", EventsConsumer.as_asgi()),
            path("ws/jobs/<int:job_id>", JobConsumer.as_asgi()),
            re_path("", WebsocketDenier.as_asgi()),
        ]
    )
)
