"""The conftest.py of an application: it loads the fixtures of `router.testing`."""

pytest_plugins = ["router.testing"]
