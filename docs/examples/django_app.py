"""A Django project in one file that takes calls at /voice.

Either of these runs it:

    gunicorn --threads 8 django_app:application
    python django_app.py runserver
"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from router import Router
from router.django import view

settings.configure(
    DEBUG=True,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
)

router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers


def index(_request: HttpRequest) -> HttpResponse:
    """Serve a page of the application."""
    return HttpResponse("<p>Call ws://this-host/voice</p>")


urlpatterns = [path("", index), path("voice", view(router))]

application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
