"""Errors that the router raises: facts as attributes, text in `__str__`.

```
RouterError
├── ConfigError      an invalid setting, which stops the start
├── StartError       another reason that stops the start
├── VerbError        a running server refused an operator's verb, or did not answer
└── ToolError        a function of the router returned no output
    ├── EndpointError    the endpoint may not be called, or its response is invalid
    └── HandlerError     the handler raised, or its result cannot be written as JSON
```
"""

from __future__ import annotations


class RouterError(Exception):
    """The base of every error of the router."""


class ConfigError(RouterError):
    """An invalid setting, with its name and its source."""

    def __init__(self, *, source: str, name: str, problem: str) -> None:
        super().__init__(source, name, problem)
        self.source = source
        """The source of the value: "the command line", "the environment", ".env", or the path of the file."""
        self.name = name
        """The setting's name in its source: a flag, a variable, or a key of the file."""
        self.problem = problem
        """The rest of the sentence that begins with the name. It never contains a credential."""

    def __str__(self) -> str:
        return f"{self.name} ({self.source}) {self.problem}"


class StartError(RouterError):
    """A failure of the start that the configuration did not cause, such as a port in use."""


class VerbError(RouterError):
    """A running server refused an operator's verb, or did not answer. The text holds no credential."""


class ToolError(RouterError):
    """A failure of a function. The model and the client may read its text, which holds no credential."""


class EndpointError(ToolError):
    """A failed call of a function's HTTP endpoint: its address is refused, or its response is invalid."""


class HandlerError(ToolError):
    """A handler of the embedding application raised, or its result cannot be sent."""
