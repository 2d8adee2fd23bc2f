"""What an application's own conftest.py needs: the fixtures of `router.testing`."""

pytest_plugins = ["router.testing"]
