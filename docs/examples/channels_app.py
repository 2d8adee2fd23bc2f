"""A Django project in one file that takes calls below /voice, with Channels.

Either of these runs it:

    uvicorn channels_app:application
    hypercorn channels_app:application
"""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from router import Router

settings.configure(
    DEBUG=True,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example",
)

router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers


def index(_request: HttpRequest) -> HttpResponse:
    """Serve a page of the application."""
    return HttpResponse("<p>Call ws://this-host/voice</p>")


urlpatterns = [path("", index)]

django = get_asgi_application()
voice = path("voice/", router.asgi_app)  # /voice/openai, /voice/v1/agent/converse, /voice/readyz, ...

application = ProtocolTypeRouter(
    {
        "http": URLRouter([voice, path("", django)]),
        "websocket": URLRouter([voice]),
    }
)
