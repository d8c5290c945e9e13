"""A client that is made when this module is imported, so that whatever forks a process afterwards hands it on."""

from __future__ import annotations

import os

import kato_transport as kt

MADE_IN = os.getpid()
client = kt.connect(os.environ["KATO_TEST_ENDPOINT"], transport=os.environ["KATO_TEST_TRANSPORT"], timeout_s=20.0)


def use_in_every_way(caller: str) -> None:
    """Call, submit and many calls; each has to get its own answer."""
    for turn in range(10):
        value = f"{caller}/{turn}"
        assert client.call("echo", {"value": value})["value"] == value
        assert client.submit("echo", {"value": value}).result(20.0)["value"] == value
    many = client.call_many([("echo", {"value": f"{caller}/{turn}"}) for turn in range(50)])
    assert many == [{"status": "okay", "value": f"{caller}/{turn}"} for turn in range(50)]


use_in_every_way("whoever imports")
