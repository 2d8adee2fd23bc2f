"""A language model: a real server on this machine, every failure in words, and no thread left."""

import json
import queue
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from router.simulator import LanguageModelConfig, Simulator, SimulatorConfig
from router.simulator.history import Message
from router.simulator.mind.messages import End, ModelCall, Question, Words
from router.simulator.mind.model import MAX_ANSWERS, LanguageModel

pytestmark = pytest.mark.slow

TIMEOUT_S = 15.0
QUESTION = Question(instructions="Be kind.", entries=(Message("user", "What is the sea?"),))


class ChatServer(ThreadingHTTPServer):
    """A chat-completions server that answers as the test says, and notes what it was asked."""

    daemon_threads = False

    def __init__(self, *chunks, status=200, models=("tiny",)):
        super().__init__(("127.0.0.1", 0), Handler)
        self.chunks = chunks
        self.status = status
        self.models = models
        self.requests = []
        self.headers = []
        self.released = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, "application/json", json.dumps({"data": [{"id": name} for name in self.server.models]}))

    def do_POST(self):
        self.server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.headers.append(self.headers["Authorization"])
        if self.server.status != 200:
            self.answer(self.server.status, "application/json", "{}")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in self.server.chunks:
            if chunk == "wait":
                self.wfile.flush()
                self.server.released.wait(TIMEOUT_S)
            else:
                self.wfile.write(f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments):
        """Log nothing."""


def words(text):
    return {"choices": [{"delta": {"content": text}}]}


@contextmanager
def serving(*chunks, **options):
    server = ChatServer(*chunks, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def model_of(url, **fields):
    model = LanguageModel(LanguageModelConfig(url=url, **fields))
    try:
        yield model
    finally:
        model.close()


def answer_of(model, question=QUESTION):
    pieces = queue.Queue()
    model.ask(question, pieces.put)
    found = []
    while not found or not isinstance(found[-1], End):
        found.append(pieces.get(timeout=TIMEOUT_S))
    return found


def spoken(pieces):
    return "".join(piece.text for piece in pieces if isinstance(piece, Words))


def test_an_answer_is_streamed_from_the_first_model_that_the_server_lists():
    with serving(words("The sea "), words("is deep."), "[DONE]") as server, model_of(server.url) as model:
        assert answer_of(model) == [Words("The sea "), Words("is deep."), End()]
        (request,) = server.requests
    assert request["model"] == "tiny"
    assert request["messages"][-1] == {"role": "user", "content": "What is the sea?"}
    assert server.headers == [None]


def test_the_model_and_the_key_are_those_of_the_settings():
    with serving(words("Yes.")) as server, model_of(f"{server.url}/v1", model="large", key="secret") as model:
        assert spoken(answer_of(model)) == "Yes."
    assert server.requests[0]["model"] == "large"
    assert server.headers == ["Bearer secret"]
    assert "secret" not in repr(LanguageModelConfig(url="http://host", key="secret"))


def test_a_call_is_a_piece():
    call = {"index": 0, "function": {"name": "get_time", "arguments": "{}"}}
    with serving({"choices": [{"delta": {"tool_calls": [call]}}]}, "[DONE]") as server, model_of(server.url) as model:
        assert answer_of(model) == [ModelCall("get_time", "{}"), End()]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"status": 401}, "refuses the key"),
        ({"status": 404}, "has no model tiny"),
        ({"status": 429}, "too many requests"),
        ({"status": 503}, "failed with status 503"),
        ({"models": ()}, "lists no model"),
    ],
)
def test_a_refusal_is_answered_in_words(options, sentence):
    with serving(**options) as server, model_of(server.url) as model:
        pieces = answer_of(model)
    assert sentence in spoken(pieces)
    assert pieces[-1] == End()


@pytest.mark.parametrize("chunk", ["{", '{"error": "overloaded"}', '{"choices": 5}'])
def test_a_stream_that_cannot_be_read_is_answered_in_words(chunk):
    with serving(words("The sea"), chunk) as server, model_of(server.url) as model:
        assert spoken(answer_of(model)).endswith("could not be read.")


def test_a_server_that_is_not_there_is_answered_in_words():
    with serving() as server:
        url = server.url
    with model_of(url) as model:
        assert "cannot be reached" in spoken(answer_of(model))


def test_a_server_that_says_nothing_is_answered_in_words_and_in_time():
    with serving("wait") as server, model_of(server.url, first_word_s=0.5) as model:
        assert "did not answer in time" in spoken(answer_of(model))


def test_an_answer_without_an_end_ends_at_its_limit():
    with serving(*[words("la ")] * 3, "wait", words("late")) as server, model_of(server.url, answer_s=0.0) as model:
        server.released.set()
        assert spoken(answer_of(model)) == ""


def test_a_stopped_answer_delivers_nothing_more():
    pieces = queue.Queue()
    with serving(words("One "), "wait", words("two.")) as server, model_of(server.url) as model:
        stop = model.ask(QUESTION, pieces.put)
        assert pieces.get(timeout=TIMEOUT_S) == Words("One ")
        stop()
        model.close()  # it joins the thread, while the server still waits
        server.released.set()
    assert pieces.empty()


def test_the_number_of_answers_at_a_time_is_bounded():
    with serving("wait") as server, model_of(server.url, model="m") as model:
        for _ in range(MAX_ANSWERS):
            model.ask(QUESTION, lambda _piece: None)
        assert "too many questions" in spoken(answer_of(model))
        server.released.set()


def test_a_session_speaks_the_words_of_the_model_and_calls_its_functions(dial):
    call = {"index": 0, "function": {"name": "get_time", "arguments": "{}"}}
    chunks = (words("One mo"), words("ment."), {"choices": [{"delta": {"tool_calls": [call]}}]}, "[DONE]")
    with serving(*chunks) as server:
        config = SimulatorConfig(pace=0, llm=LanguageModelConfig(url=server.url))
        with Simulator(config) as simulator, dial(simulator) as client:
            client.ask("What time is it?")
            output = client.until("response.done")["response"]["output"]
            client.send("response.create", response={"instructions": 'Say exactly: "Good day."'})
            greeting = client.until("response.done")["response"]["output"]
    assert output[0]["content"] == [{"type": "output_audio", "transcript": "One moment."}]
    assert (output[1]["name"], output[1]["arguments"]) == ("get_time", "{}")
    assert greeting[0]["content"][0]["transcript"] == "Good day."
    assert len(server.requests) == 1


def test_an_answer_that_is_cancelled_is_stopped(dial):
    with serving(words("One two three. "), "wait", words("four")) as server:
        config = SimulatorConfig(pace=0, llm=LanguageModelConfig(url=server.url))
        with Simulator(config) as simulator, dial(simulator) as client:
            client.ask("Count.")
            client.until("response.output_audio.delta")
            client.send("response.cancel")
            assert client.until("response.done")["response"]["status"] == "cancelled"
            server.released.set()
            client.ask("Again.")
            assert client.until("response.done")["response"]["status"] == "completed"
