"""Errors that the router raises: facts as attributes, text in `__str__`.

```
RouterError
├── ConfigError      a setting that stops the start
├── StartError       something else that stops the start
└── ToolError        a function that the router runs brought no output
    ├── EndpointError    its endpoint may not be called, or did not answer as it should
    └── HandlerError     its handler failed, or answered with what is no JSON
```
"""

from __future__ import annotations


class RouterError(Exception):
    """Anything that the router itself raises."""


class ConfigError(RouterError):
    """A setting that stops the start, with what it is called where it was said."""

    def __init__(self, *, source: str, name: str, problem: str) -> None:
        super().__init__(source, name, problem)
        self.source = source
        """Where it was said: "the command line", "the environment", ".env", or the path of the file."""
        self.name = name
        """What it is called there: a flag, a variable, a file key."""
        self.problem = problem
        """What is wrong: the rest of a sentence that begins with the name. Never holds a credential."""

    def __str__(self) -> str:
        return f"{self.name} ({self.source}) {self.problem}"


class StartError(RouterError):
    """The router cannot start, for a reason outside the configuration: a port in use."""


class ToolError(RouterError):
    """A function brought no output. `str` says why, as the model and the client may read it: it holds no credential."""


class EndpointError(ToolError):
    """An endpoint may not be called, or did not answer as it should."""


class HandlerError(ToolError):
    """A handler of the embedding application's failed, or answered with what cannot be sent."""
