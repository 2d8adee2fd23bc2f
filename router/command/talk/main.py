"""The flags and the main loop of `switchboard talk`. Other threads put events into a queue, which the loop empties."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import queue
import signal
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from actors.connections.blocking import CallError, HeaderError, HungUp
from actors.connections.close_codes import CloseCode
from router.command import waves
from router.command.microphone import Microphone
from router.command.streams import say
from router.command.talk import sound
from router.command.talk.call import Call
from router.command.talk.lines import Lines
from router.command.talk.screen import Screen
from router.command.voice_client import INPUT_RATE, VoiceClient, settings
from router.config.parsers import seconds
from router.config.provenance import FLAGS
from router.errors import ConfigError, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

URL: Final = "ws://127.0.0.1:8080/openai"
TOKEN: Final = "SWITCHBOARD_TOKEN"  # noqa: S105 - the name of a variable
PROMPT: Final = "You are a friendly voice agent. Answer briefly."
TAIL: Final = bytes(2 * 2 * INPUT_RATE)
"""Two seconds of silence after each file, in which a detector finds the end of the speech.

With manual turn detection the router commits a turn after a pause, so the silence must end.
"""

TIMES_S: Final = 1.0
"""The wait (s) for two messages that may never come: the times of the last answer, and the end of a silent greeting."""

EPILOG: Final = f"""\
Type a line to ask; a line while the agent speaks interrupts it. Ctrl-D or Ctrl-C ends the call. With the library
sounddevice the microphone and the loudspeaker are open, too: use headphones, or the agent interrupts itself.
The variable {TOKEN} sets the token that the router may demand.

examples:
  switchboard talk
  switchboard talk wss://voice.example/openai
  echo "What is your name?" | switchboard talk --out answer.wav
  switchboard talk --wav question.wav --out answer.wav
"""


WAIT_S: Final = 60.0
"""The longest wait, in seconds, for an answer. It exceeds the 40 s within which a router reports a silent upstream."""

HTTP_SCHEMES: Final = {"http": "ws", "https": "wss"}


class Interrupted:
    """The event that ends a conversation with exit status 0: Ctrl-C, or the end of the last wait (`TIMES_S`)."""


class TimedOut:
    """The event of a wait that ended without a message, although the program waits for the router."""


def main(arguments: Sequence[str]) -> int:
    """Hold a conversation, and return the exit status.

    Raises:
        ConfigError: a flag is invalid.
        StartError: the router cannot be reached, or a file cannot be used.
    """
    options = _parser().parse_args(arguments)
    if options.help:
        say(_parser().format_help().rstrip())
        return 0
    with contextlib.ExitStack() as stack:
        recorder = waves.Recorder(options.out) if options.out else None
        if recorder is not None:
            stack.callback(recorder.close)
        speeches = [waves.read(path) for path in options.wav]
        client = stack.enter_context(_dial(options.url))
        return _Conversation(client, options, recorder, speeches, stack).run()


class _Conversation:
    """The parts of one call, on the thread of the command."""

    def __init__(
        self,
        client: VoiceClient,
        options: argparse.Namespace,
        recorder: waves.Recorder | None,
        speeches: list[bytes],
        stack: contextlib.ExitStack,
    ) -> None:
        self._client = client
        self._settings = _settings(options)
        self._wait_s: float = options.wait_s
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._speeches = speeches
        self._is_scripted = bool(speeches) or not sys.stdin.isatty()
        """Whether the questions come from files or a pipe.

        If they do, each question waits for the answer to the previous one.
        """
        self._typed: list[str] = []
        self._is_over = False
        """Whether no further question will come."""
        self._screen = _screen()
        self._has_sound = not self._is_scripted and not options.text
        self._stack = stack
        self._call = Call(client, self._screen, recorder=recorder, shows_typed=self._is_scripted)
        if options.greeting:
            self._call.expect_greeting()
        self._microphone = Microphone(client.send_audio, sends_silence=False)
        stack.callback(self._microphone.close)
        self._lines = None if speeches else Lines(sys.stdin.fileno(), self._events.put)

    def run(self) -> int:
        """Take events until the conversation is over; return the exit status."""
        signal.signal(signal.SIGINT, lambda *_: self._events.put(Interrupted()))
        receiver = threading.Thread(target=self._receive, name="receiver", daemon=True)
        receiver.start()
        if self._lines is not None:
            self._lines.start()
        try:
            self._client.send("Settings", **self._settings)
            if self._has_sound:  # after Settings, which must be the first message
                self._call.sound = self._open_sound()
            return self._take_events()
        except HungUp as end:
            return self._report_end(end)
        finally:
            if self._lines is not None:
                self._lines.stop()
            self._client.close()
            receiver.join()

    def _take_events(self) -> int:
        while True:
            match self._next_event():
                case Interrupted():
                    return 0
                case TimedOut():
                    self._screen.say("error", f"the router sent nothing for {self._wait_s:g} s, and owes an answer")
                    return 1
                case HungUp() as end:
                    return self._report_end(end)
                case None:
                    self._is_over = True
                case str(line):
                    self._typed.append(line)
                case frame:
                    self._call.handle(frame)
            self._ask_next()
            if self._is_done and not self._call.awaits_times:
                return 1 if self._call.has_failed else 0

    @property
    def _is_done(self) -> bool:
        """Whether every question has its answer, and no further question will come."""
        return self._is_over and not self._typed and not self._speeches and not self._call.open_questions

    def _next_event(self) -> Any:
        is_short = self._is_done or self._call.has_silent_greeting
        try:
            return self._events.get(timeout=TIMES_S if is_short else self._wait_s if self._is_owed else None)
        except queue.Empty:
            if self._call.has_silent_greeting:
                return {"type": "AgentAudioDone"}
            return Interrupted() if is_short else TimedOut()

    @property
    def _is_owed(self) -> bool:
        """Whether the program waits for the router with a time limit.

        The limit applies until the call is ready. Later it applies only with scripted input, while a question has no
        answer. At a terminal the user decides how long to wait.
        """
        return not self._call.is_ready or bool(self._is_scripted and self._call.open_questions)

    def _ask_next(self) -> None:
        while self._call.is_ready and not (self._is_scripted and self._call.open_questions):
            if self._speeches:
                self._speak(self._speeches.pop(0))
            elif self._typed:
                self._call.type(self._typed.pop(0))
            else:
                return

    def _speak(self, speech: bytes) -> None:
        self._is_over = not self._speeches
        self._call.expect_answer()
        self._microphone.speak(speech + TAIL)
        self._microphone.open()

    def _receive(self) -> None:
        try:
            while True:
                self._events.put(self._client.receive())
        except HungUp as end:
            self._events.put(end)
        except ValueError:  # the endpoint speaks another protocol
            self._events.put(HungUp(CloseCode.INVALID_DATA, "it sent text that is not JSON"))

    def _report_end(self, end: HungUp) -> int:
        if not self._call.has_failed:
            reason = f", {end.reason}" if end.reason else ""
            self._screen.say("error", f"the router closed the call ({end.code}{reason})")
        return 0 if end.code == CloseCode.NORMAL_CLOSURE and not self._call.has_failed else 1

    def _open_sound(self) -> sound.Sound | None:
        try:
            speaker = sound.Sound(self._client.send_audio)
        except StartError as error:
            self._screen.note(f"text alone: {error}")
            return None
        self._stack.callback(speaker.close)
        self._screen.note("the microphone is open")
        return speaker


def _dial(url: str) -> VoiceClient:
    try:
        return VoiceClient(url, token=os.environ.get(TOKEN))
    except CallError as error:
        hint = ""
        if isinstance(error, HeaderError):
            hint = f"; set the variable {TOKEN} again"
        elif error.status == HTTPStatus.UNAUTHORIZED:
            hint = f"; set the variable {TOKEN}"
        elif (parts := urlsplit(url)).scheme in HTTP_SCHEMES:
            hint = f"; a route is a WebSocket: {HTTP_SCHEMES[parts.scheme]}://{parts.netloc}{_route(parts.path)}"
        elif error.status is None and _is_loopback(parts.hostname or ""):
            hint = "; start a router with `switchboard`, or name another"
        raise StartError(f"{url} {error}{hint}") from error


def _route(path: str) -> str:
    # An address that was copied from the browser has the path of the page.
    return path if path.strip("/") else urlsplit(URL).path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return settings(options.prompt, greeting=options.greeting, voice=options.voice, model=options.model)


def _screen() -> Screen:
    is_terminal = sys.stdout.isatty()

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return Screen(write, is_terminal=is_terminal, has_colors=is_terminal and not os.environ.get("NO_COLOR"))


# The flags.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="talk", problem=f"has a wrong flag: {message}")


def _wait_s(written: str) -> float:
    try:
        return seconds(0.1, 3600)(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard talk",
        description="Hold a conversation in the terminal.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add: Callable[..., Any] = parser.add_argument
    add("url", metavar="URL", nargs="?", default=URL, help="a route of a router (default %(default)s)")
    add("-h", "--help", action="store_true", help="print this text")
    add("--text", action="store_true", help="leave microphone and loudspeaker closed")
    add("--wav", metavar="FILE", type=Path, action="append", default=[], help="speak this file, and end; repeatable")
    add("--out", metavar="FILE", type=Path, help="write the agent's voice into this WAV file")
    wait = "seconds without a word of the router that end the call while an answer is due (default %(default)g)"
    add("--wait-s", metavar="SECONDS", type=_wait_s, default=WAIT_S, help=wait)
    add("--prompt", default=PROMPT, help="the agent's instructions")
    add("--greeting", default="", help="the agent's first words")
    add("--voice", default="", help="the agent's voice")
    add("--model", default="", help="the model, where the router offers several")
    return parser
