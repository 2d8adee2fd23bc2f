# Switchboard as an image: two stages, no root, nothing to write but /tmp.
#   docker build -t switchboard .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --stop-timeout 40 -p 8080:8080 \
#     -e OPENAI_API_KEY -e ROUTER_TOKENS=alice=… switchboard
# tests/docs/test_image.py performs these steps in a clean root of Debian. No Docker engine has built it so far.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
RUN python3 -m venv /opt/switchboard
WORKDIR /src
COPY pyproject.toml setup.py setup.cfg README.md LICENSE switchboard_voice.py ./
COPY actors actors
COPY router router
RUN /opt/switchboard/bin/pip install --no-cache-dir ".[redis,otel]"

FROM python:${PYTHON}
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin switchboard
COPY --from=build /opt/switchboard /opt/switchboard
ENV PATH=/opt/switchboard/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
# SIGTERM begins the drain: give it drain_s (30) and 10 s more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["switchboard"]
CMD ["--host", "0.0.0.0", "--log-format", "json"]
