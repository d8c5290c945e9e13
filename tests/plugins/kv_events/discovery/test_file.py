"""Sources in a file that people and programs change in all their ways."""

from __future__ import annotations

import os

import pytest

import kato_transport as kt
from kato_transport_kv_events.discovery import open_discovery
from kato_transport_kv_events.discovery.file import MOST_BYTES, SourcesFile, parse
from kato_transport_kv_events.subscription import Source

from .seen import comes_to_follow, running

A, B = Source.parse("a=tcp://127.0.0.1:9"), Source.parse("b=tcp://127.0.0.1:19,replay=tcp://127.0.0.1:20,model=m")
TEXT = """
# engines of the first rack
a=tcp://127.0.0.1:9
  b=tcp://127.0.0.1:19,replay=tcp://127.0.0.1:20,model=m   # the large one
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sources"


@pytest.fixture
def open_file(path):
    """Looks often, so that a test need not wait."""
    return lambda: open_discovery(f"file:{path}?interval=0.02")


def replace(path, text):
    """As editors and programs that care do it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_each_line_is_a_source():
    """Empty lines and comments are not."""
    assert parse(TEXT) == (A, B)
    assert parse("") == parse("# nothing\n\n") == ()


def test_a_number_sign_within_a_word_is_no_comment():
    """Topics may have them."""
    (found,) = parse("a=tcp://h:1,topic=kv#1\t# a comment")
    assert found.topic == "kv#1"


def test_every_line_that_is_wrong_is_told():
    """With its number, and what is wrong with it."""
    with pytest.raises(kt.InvalidSetting) as raised:
        parse("a=tcp://h:1\nb\n\nc=tcp://h:1,rank=x\nd=ipc:///x,ranks=2")
    said = str(raised.value)
    assert "line 2: source 'b': it does not begin with POD=ENDPOINT" in said
    assert "line 4: source 'c=tcp://h:1,rank=x': rank: 'x' is no number" in said
    assert "line 5: " in said


def test_a_pods_rank_is_there_once():
    """Whichever lines give it."""
    with pytest.raises(kt.InvalidSetting, match="line 3: 'a', rank 1, is on line 1 already"):
        parse("a=tcp://h:1,ranks=2\nb=tcp://h:5\na=tcp://h:9,rank=1")
    assert len(parse("a=tcp://h:1,ranks=2\na=tcp://h:9,rank=2")) == 2


def test_changes_are_followed(path, open_file, follow, manager):
    """In place and by replacement."""
    path.write_text(TEXT)
    follow(open_file())
    comes_to_follow(manager, a=A.endpoint, b=B.endpoint)
    path.write_text("a=tcp://127.0.0.1:29\n")
    comes_to_follow(manager, a="tcp://127.0.0.1:29")
    replace(path, TEXT)
    comes_to_follow(manager, a=A.endpoint, b=B.endpoint)
    path.write_text("")
    comes_to_follow(manager)


def test_the_swap_of_a_link_above_the_file_is_seen(tmp_path, follow, manager):
    """As Kubernetes changes a mounted ConfigMap: the file's own path never changes."""

    def publish(version, text):
        (tmp_path / version).mkdir()
        (tmp_path / version / "sources").write_text(text)
        (tmp_path / "..new").symlink_to(version)
        (tmp_path / "..new").replace(tmp_path / "..data")

    publish("..1", "a=tcp://127.0.0.1:9")
    (tmp_path / "sources").symlink_to("..data/sources")
    follow(open_discovery(f"file:{tmp_path / 'sources'}?interval=0.02"))
    comes_to_follow(manager, a="tcp://127.0.0.1:9")
    publish("..2", "b=tcp://127.0.0.1:9")
    comes_to_follow(manager, b="tcp://127.0.0.1:9")


def test_a_broken_edit_keeps_what_was_there(path, open_file):
    """It is told, and over as soon as it is mended."""
    path.write_text("a=tcp://127.0.0.1:9")
    with running(open_file()) as told:
        assert told.next() == [A]
        replace(path, "a=tcp://127.0.0.1:9\nb=nonsense")
        while isinstance(said := told.next(), list):
            assert said == [A]
        assert said[0] == "source"
        assert "line 2: source 'b=nonsense'" in said[1]
        replace(path, TEXT)
        told.until([A, B])


def test_a_file_that_is_away_is_told_and_waited_for(path, open_file):
    """At the beginning and later; what it said last holds."""
    with running(open_file()) as told:
        category, reason = told.next()
        assert category == "lookup"
        assert str(path) in reason
        path.write_text("a=tcp://127.0.0.1:9")
        told.until([A])
        path.unlink()
        while isinstance(said := told.next(), list):
            assert said == [A]
        assert said[0] == "lookup"


def test_a_change_counts_once_it_is_read_twice_alike(path):
    """Whoever writes in place is half done at some moment."""
    path.write_text(TEXT)
    file = SourcesFile(path)
    assert file.look() == (A, B)
    path.write_text("")
    assert file.look() == (A, B)
    path.write_text("b=tcp")
    assert file.look() == (A, B)
    path.write_text("a=tcp://127.0.0.1:9")
    assert file.look() == (A, B)
    assert file.look() == (A,)


@pytest.mark.parametrize("content", [b"\xff\xfea=tcp://h:1", b"#" * (MOST_BYTES + 1)], ids=["no text", "too large"])
def test_what_is_no_list_of_sources_is_told(path, open_file, content):
    """It is neither guessed at nor read whole."""
    path.write_bytes(content)
    with running(open_file()) as told:
        category, reason = told.next()
        assert category == "source"
        assert "UTF-8" in reason or "bytes" in reason


def test_a_byte_order_mark_is_no_part_of_a_name(path):
    """Some editors write one."""
    path.write_bytes(b"\xef\xbb\xbfa=tcp://127.0.0.1:9")
    assert SourcesFile(path).look() == (A,)


def test_what_is_no_file_is_not_read(tmp_path):
    """A pipe would hang, a folder has no lines."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with running(open_discovery(f"file:{path}")) as told:
            assert told.next() == ("lookup", f"{path} is no file")
