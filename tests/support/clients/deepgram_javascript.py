"""npm's `@deepgram/sdk` under Node, and its browser build in Chromium, as `SdkClient`s.

Both run tests/javascript/driver.mjs. That program performs the commands that it receives over a WebSocket of the test,
and reports what the SDK delivers. Chromium only has to open the address of a page.
"""

import base64
import json
import mimetypes
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.clients.chromium import FLAGS
from tests.support.clients.sdk_client import TIMEOUT_S, SdkClient
from tests.support.data.oracle import OracleError, assert_server_message
from tests.support.processes import children

HERE = Path(__file__).parents[2] / "javascript"
SDK = Path("node_modules", "@deepgram", "sdk")
TYPED = """import type {{ V1Socket }} from "@deepgram/sdk/agent/v1";
export const messages: Exclude<V1Socket.Response, string>[] = {};
"""
MICROPHONE_FLAGS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


class JavaScript:
    """A JavaScript runtime with the SDK. It holds one connection at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {
            "/": HERE / "browser.html",
            "/driver.mjs": HERE / "driver.mjs",
            "/microphone.mjs": HERE / "microphone.mjs",
            "/deepgram.js": folder / SDK / "dist" / "browser" / "index.global.js",
        }
        self._controls: queue.Queue[ServerConnection] = queue.Queue()
        self._client: JavaScriptClient | None = None

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the page and the control WebSocket, and yield the address."""
        server = serve(self._on_control, "127.0.0.1", 0, process_request=self._file, max_size=None)
        thread = threading.Thread(target=server.serve_forever, name="javascript control")
        thread.start()
        try:
            yield _address(server)
        finally:
            server.shutdown()
            thread.join()

    def wait_until_started(self) -> None:
        """Wait until the runtime has connected to the control WebSocket."""
        self._control = self._controls.get(timeout=TIMEOUT_S)

    @contextmanager
    def connected(self, address: str) -> Iterator["JavaScriptClient"]:
        """Connect to a router at `address`."""
        self._client = client = JavaScriptClient(self._control, self.folder)
        client.do("open", url=f"ws://{address}", key="any")
        try:
            client.wait_until("open", lambda: client.is_open)
            yield client
        finally:
            client.close()

    def _file(self, _connection: ServerConnection, request: Request) -> Response | None:
        file = self._files.get(request.path)
        if file is None:
            return None  # the control WebSocket
        body = file.read_bytes()
        kind = "text/javascript" if file.suffix == ".mjs" else mimetypes.guess_type(file.name)[0]
        headers = Headers({"Content-Type": str(kind), "Content-Length": str(len(body)), "Connection": "close"})
        return Response(200, "OK", headers, body)

    def _on_control(self, control: ServerConnection) -> None:
        self._controls.put(control)
        with suppress(ConnectionClosed):
            for told in control:
                if self._client is not None:
                    self._client.take(json.loads(told))


class JavaScriptClient(SdkClient):
    """One connection of the SDK."""

    def __init__(self, control: ServerConnection, folder: Path) -> None:
        super().__init__()
        self._control = control
        self._folder = folder
        self.subprotocol = ""

    def do(self, what: str, **rest: Any) -> None:
        """Send the driver a command, with its arguments."""
        self._control.send(json.dumps({"what": what, **rest}))

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message by the SDK's method for it."""
        self.do("send", message={"type": kind, **fields})

    def send_audio(self, pcm: bytes) -> None:
        """Send microphone audio."""
        self.do("media", audio=base64.b64encode(pcm).decode())

    def listen(self) -> None:
        """From now on, send the sound of the browser's microphone."""
        self.do("listen")

    def close(self) -> None:
        """Close the SDK's socket, once."""
        if self.close_code is None:
            self.do("close")
            self.wait_until("close", lambda: self.close_code is not None)

    def faults_of_types(self) -> str:
        """The errors of TypeScript in the received messages, by the SDK's types. An additional key is an error, too."""
        messages = json.dumps(self.received.messages, indent=1)
        compiler = self._folder / "node_modules" / ".bin" / "tsc"
        flags = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext")
        with TemporaryDirectory(dir=self._folder) as within:  # where the SDK is found
            file = Path(within, "messages.ts")
            file.write_text(TYPED.format(messages))
            done = subprocess.run([compiler, *flags, file], check=False, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def take(self, told: dict[str, Any]) -> None:
        """Handle a report of the driver."""
        match told.pop("event"):
            case "audio":
                self.delivered(base64.b64decode(told["audio"]))
            case "message":
                self._judge(told["message"])
                self.delivered(told["message"])
            case "open":
                self.subprotocol = told["protocol"]
                self.noted(partial(setattr, self, "is_open", True))
            case "close":
                self.noted(partial(setattr, self, "close_code", told["code"]))
            case "error":
                self.noted(partial(self.errors.append, told["error"]))

    def _judge(self, message: dict[str, Any]) -> None:
        try:
            assert_server_message(message)
        except OracleError as error:  # the test's thread is another
            self.noted(partial(self.errors.append, str(error)))


def _address(server: Server) -> str:
    host, port = server.socket.getsockname()[:2]
    return f"{host}:{port}"


@contextmanager
def node(folder: Path) -> Iterator[JavaScript]:
    """Run Node with the SDK that is installed in `folder`."""
    runtime = JavaScript(folder)
    with runtime.serving() as address, children.child("node", HERE / "node.mjs", folder, f"ws://{address}/control"):
        runtime.wait_until_started()
        yield runtime


@contextmanager
def chromium(folder: Path, program: str, microphone: Path | None = None) -> Iterator[JavaScript]:
    """Run Chromium with the SDK's browser build on a local page; its microphone hears this WAV file, once."""
    runtime = JavaScript(folder)
    with runtime.serving() as address:
        flags = [*FLAGS, "--user-data-dir=profile"]  # below the child's own folder
        if microphone is not None:
            flags += [*MICROPHONE_FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        with children.child(program, *flags, f"http://{address}/"):
            runtime.wait_until_started()
            yield runtime
