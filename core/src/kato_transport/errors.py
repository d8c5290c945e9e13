"""Every error this library raises, under one base class.

The families answer the caller's first question, *may I try again?*:

* `ConfigurationError`: no; something has to be changed first.
* `ConnectFailed`: yes; nothing was sent.
* `CallTimeout`, `ConnectionLost`: only if the method is idempotent; the peer may have run the call. What could be sent
  again without harm has been.
* `ProtocolError`: no; one side broke the protocol, and the type says which one.
* `RemoteError`: the peer answered, with an error; its `code` says which kind.

`except TimeoutError` catches all that is too late, whichever side noticed it first.

`ServiceError` is the one that a service raises to answer with an error of its choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TransportError(Exception):
    """Anything that went wrong in or behind a transport."""


class ConfigurationError(TransportError):
    """Something was set up in a way that cannot work."""


class UnknownPlugin(ConfigurationError):
    """A plugin was asked for by a name that no installed plugin has."""

    def __init__(self, kind: str, name: str, installed: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.installed = tuple(sorted(installed))
        super().__init__(kind, name, self.installed)

    def __str__(self) -> str:
        close = get_close_matches(self.name, self.installed, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(self.installed) or "none"
        return f"no {self.kind} named {self.name!r}.{hint} Installed: {listed}."


class UnknownTransport(UnknownPlugin):
    """No installed transport has the name that was selected."""

    def __init__(self, name: str, installed: Iterable[str]) -> None:
        super().__init__("transport", name, installed)
        self.args = (name, self.installed)


class PluginBroken(ConfigurationError):
    """An installed plugin cannot be used: it fails to import, breaks a hook's contract, or clashes."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(name, reason)

    def __str__(self) -> str:
        return f"plugin {self.name!r} cannot be used: {self.reason}"


class PluginDisabled(PluginBroken):
    """A plugin was asked for that the environment says not to load."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "it is disabled by KATO_TRANSPORT_DISABLED_PLUGINS")
        self.args = (name,)


class InvalidSetting(ConfigurationError):
    """A setting or option has a value it cannot have."""


class UnsupportedCapability(ConfigurationError):
    """A transport was asked for something that it does not promise."""


class BindFailed(ConfigurationError):
    """A server could not take its endpoint: in use, not on this machine, or not well-formed."""


class ClientClosed(TransportError):
    """A call was made on a client that has been closed."""


class ConnectFailed(TransportError):
    """No connection came about within the connect timeout; nothing was sent, so trying again is safe."""


class CallTimeout(TransportError, TimeoutError):
    """No answer within the call's time; the peer may have run the call, unless no copy of it was sent."""

    def __init__(self, method: str, timeout_s: float, endpoint: str, copies: int = 1) -> None:
        self.method = method
        self.timeout_s = timeout_s
        self.endpoint = endpoint
        self.copies = copies
        super().__init__(method, timeout_s, endpoint, copies)

    def __str__(self) -> str:
        if not self.copies:
            return f"{self.method}: {self.endpoint} gave no sign of life within {self.timeout_s:g} s; nothing was sent"
        times = f"{self.copies} times " if self.copies > 1 else ""
        return f"{self.method}: sent {times}to {self.endpoint}, no answer within {self.timeout_s:g} s; it may have run"


class ConnectionLost(TransportError):
    """The connection broke after the request was sent; the peer may have run the call."""


class ProtocolError(TransportError):
    """A message broke the protocol."""


class LocalProtocolError(ProtocolError):
    """This side was about to send something the protocol does not allow; nothing was sent."""


class MessageTooLarge(LocalProtocolError):
    """The message exceeds `max_message_bytes`; nothing was sent."""

    def __init__(self, method: str, size: int, limit: int) -> None:
        self.method = method
        self.size = size
        self.limit = limit
        super().__init__(method, size, limit)

    def __str__(self) -> str:
        return f"{self.method}: {self.size} bytes exceed max_message_bytes, {self.limit}"


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol does not allow."""


class DecodeError(RemoteProtocolError):
    """Bytes from the peer are not what the codec reads; carries the codec, the size and the first bytes."""

    def __init__(self, codec: str, head: bytes, reason: str, size: int) -> None:
        self.codec = codec
        self.head = head
        self.reason = reason
        self.size = size
        super().__init__(codec, head, reason, size)

    def __str__(self) -> str:
        return f"not {self.codec}: {self.reason} ({self.size} bytes, beginning {self.head!r})"


class RemoteError(TransportError):
    """The peer answered with `status: error`; `code` is one of `kato_transport.model.ErrorCode`."""

    def __init__(self, method: str, message: str, code: str) -> None:
        self.method = method
        self.message = message
        self.code = code
        super().__init__(method, message, code)

    def __str__(self) -> str:
        said = self.message if self.message.startswith(self.method) else f"{self.method}: {self.message}"
        return f"{said} [{self.code}]"


class ServerBusy(RemoteError):
    """The peer refused the call before running it, as its queue is full or it is shutting down: try again later."""


class DeadlineExceeded(RemoteError, TimeoutError):
    """The peer answered, before this side had noticed, that the call's time had passed for it or for a server behind it. The
    message says whether it was started."""


class ServiceError(TransportError):
    """Raised by a service to answer with an error: the message and code go to the caller as they are."""

    def __init__(self, message: str, code: str = "invalid_params") -> None:
        self.message = message
        self.code = code
        super().__init__(message, code)

    def __str__(self) -> str:
        return self.message
