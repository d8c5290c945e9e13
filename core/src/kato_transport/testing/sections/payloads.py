"""What is carried: large, empty, of every type, in every script, deeply nested."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig

VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "smallest int": -(2**63),
    "largest int": 2**64 - 1,
    "float": 0.1,
    "float without fraction": 3.0,
    "smallest float": 5e-324,
    "infinity": -math.inf,
    "str": "text",
    "long str": "x" * 70_000,
    "bytes": b"text",
    "all bytes": bytes(range(256)),
    "list": [1, "two", 3.0, None],
    "long list": list(range(70_000)),
    "map": {"a": 1, "b": {"c": [True]}},
    "map with int keys": {1: "one", -2: "minus two"},
    "mixed": [{"vectors": [[0.5, -0.5], []], "emotives": {"utility": 50.0}, "raw": [b"\x00", ""]}],
}
EMPTY: dict[str, Any] = {"bytes": b"", "str": "", "list": [], "map": {}}
TEXTS = {
    "umlauts": "Grüße, naïve Façade",
    "cjk": "日本語の文字列",
    "right to left": "שלום عليكم",
    "emoji": "🧠🚀👩‍👩‍👧",
    "combining": "e\u0301 \u00e9",
    "controls": "tab\t newline\n nul\0 bell\a",
    "beyond the first plane": "\U0001f9e0\U0010ffff",
}
LARGE = 4 * 1024 * 1024
DEPTH = 200


class Payloads(Conformance):
    """What goes in comes out, in value and in type."""

    def test_every_type_survives(self, rig: Rig) -> None:
        """Both ways, in value and type; what the codec itself does not carry is left out."""
        assert mangled(rig, self.codec, VALUES) == {}

    def test_an_empty_payload_arrives(self, rig: Rig) -> None:
        """Empty is a value, not nothing."""
        assert mangled(rig, self.codec, EMPTY) == {}

    def test_text_of_every_script_survives(self, rig: Rig) -> None:
        """As a value and as a key."""
        assert mangled(rig, self.codec, {script: {text: text} for script, text in TEXTS.items()}) == {}

    def test_a_method_may_have_any_name(self, rig: Rig) -> None:
        """Method names are text like any other."""
        names = ["gr\u00fc\u00dfe", "a b", "a/b?c=d&e#f", "kv.match", "日本"]
        client = rig.connect(rig.serve({name: lambda name=name: {"name": name} for name in names}))
        assert [client.call(name)["name"] for name in names] == names

    def test_a_large_payload_survives(self, rig: Rig) -> None:
        """Several megabytes there and back, and small calls before and after."""
        client = rig.connect(rig.serve())
        payload = bytes(range(256)) * (LARGE // 256)
        if not carries(self.codec, payload):
            payload = "kato" * (LARGE // 4)  # type: ignore[assignment]
        for value in (1, payload, 2, payload, 3):
            same = client.call("echo", {"value": value})["value"] == value  # not in the assert: nobody reads that diff
            assert same

    def test_deep_nesting_survives(self, rig: Rig) -> None:
        """Lists in lists, as deep as any codec carries them."""
        value: Any = "bottom"
        for _ in range(DEPTH):
            value = [value]
        assert mangled(rig, self.codec, {f"{DEPTH} lists": value}) == {}


def mangled(rig: Rig, codec: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Echo values, and return what came back of those that were changed on the way."""
    client = rig.connect(rig.serve())
    carried = {kind: value for kind, value in values.items() if carries(codec, value)}
    echoed = {kind: client.call("echo", {"value": value})["value"] for kind, value in carried.items()}
    # By their texts, which tell True from 1, and 3.0 from 3.
    return {kind: repr(value)[:200] for kind, value in echoed.items() if repr(value) != repr(carried[kind])}


def carries(codec: str, value: Any) -> bool:
    """Whether a codec by itself brings a value back as it was."""
    chosen = kt.registry().codec(codec)
    try:
        return repr(chosen.decode(chosen.encode(value))) == repr(value)
    except kt.TransportError:
        return False
