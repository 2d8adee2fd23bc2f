"""A Flask and a Django application whose routers accept pages of one other origin."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from flask import Flask

from router import Router
from router.django import view
from router.flask import mount

LISTED = "https://app.example"

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="a test")  # noqa: S106 - a test

router = Router(upstream="simulator", allow_origins=[LISTED])

flask = Flask(__name__)
mount(flask, router, "/voice", profile="openai")

urlpatterns = [path("voice", view(router))]
django = get_wsgi_application()
