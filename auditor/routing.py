"""The websocket's address. `chronicle.asgi` puts it beside Django's pages."""

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.urls import path, re_path

from auditor.consumers import EventsConsumer
from auditor.handshake import TokenOrSameOrigin

websocket_application = TokenOrSameOrigin(
    URLRouter([path("ws/events", EventsConsumer.as_asgi()), re_path("", WebsocketDenier.as_asgi())])
)
