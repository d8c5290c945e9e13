"""The file: what survives, what is refused, and what happens when it cannot be written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from kato_transport import InvalidSetting, ServiceError

GENOME = {"era": "A", "max_sequence_length": 4}

WRITER = """
import json, sys
from pathlib import Path
from kato_transport import ProcessorSettings
from kato_transport_processor_memory import SequenceMemory
processor = SequenceMemory().create(ProcessorSettings(data=Path(sys.argv[1]), genome=json.loads(sys.argv[2])))
for line in sys.stdin:
    processor.observe(json.loads(line))
    print(processor.time, flush=True)
"""

FORKER = """
import os, sys
from pathlib import Path
from kato_transport import ProcessorSettings, ServiceError
from kato_transport_processor_memory import SequenceMemory
processor = SequenceMemory().create(ProcessorSettings(data=Path(sys.argv[1])))
seen = {"strings": ["a", "b"], "vectors": [], "emotives": {}, "unique_id": "1"}
processor.observe(seen)
child = os.fork()
if child == 0:
    try:
        processor.observe(seen)
    except ServiceError as refused:
        print(refused, flush=True)
    processor.close()
    sys.exit(0)
os.waitpid(child, 0)
processor.observe(seen)
print(processor.time, flush=True)
os.kill(os.getpid(), 9)
"""


def observation(n):
    """The nth of a series with a bit of everything."""
    return {
        "strings": [f"s{n % 5}", f"s{n % 3}"],
        "vectors": [[n % 4, 0.1]] if n % 3 == 0 else [],
        "emotives": {"joy": n / 7} if n % 2 else {},
        "unique_id": str(n),
        "metadata": {"n": n},
    }


def remembered(processor):
    """All that has to survive."""
    cognition = {key: value for key, value in processor.get_cognition_data().items() if key != "predictions"}
    return processor.time, processor.get_stm(), processor.get_percept_data(), cognition, processor.get_genome()


def python(script, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "kato.db"


@contextmanager
def full_disk():
    """No file of this process can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_everything_but_predictions_survives_a_restart(make, show, data):
    """Models, statistics, genes, and where it was in its thoughts."""
    processor = make(data, **GENOME)
    processor.gene_change("persistence", 2)
    for n in range(30):
        processor.observe(observation(n))
    before = remembered(processor)
    processor.close()
    again, never_stopped = make(data, **GENOME), make(**GENOME)
    assert remembered(again) == before
    assert again.get_predictions({}) == again.get_predictions({"unique_id": "29"}) == []
    never_stopped.gene_change("persistence", 2)
    for n in range(31):
        never_stopped.observe(observation(n))
    again.observe(observation(30))
    assert again.get_cognition_data() == never_stopped.get_cognition_data()
    assert again.get_predictions({}) != []


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_what_was_acknowledged_survives_a_killed_process(make, data, acknowledged):
    """Killed in the middle of its work: as good as one that saw the same and lived."""
    writer = python(WRITER, data, json.dumps(GENOME), stdin=subprocess.PIPE)
    with writer:
        writer.stdin.write("".join(json.dumps(observation(n)) + "\n" for n in range(100)))
        writer.stdin.flush()
        for _ in range(acknowledged):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    survivor, never_killed = make(data, **GENOME), make(**GENOME)
    assert survivor.time >= acknowledged
    for n in range(survivor.time):
        never_killed.observe(observation(n))
    assert remembered(survivor) == remembered(never_killed)
    for n in range(survivor.time, survivor.time + 10):
        assert survivor.observe(observation(n)) == never_killed.observe(observation(n))
    assert survivor.get_cognition_data() == never_killed.get_cognition_data()


def test_clears_survive_a_restart(make, show, teach, data):
    """A cleared short-term memory, then a cleared memory."""
    processor = make(data)
    name = teach(processor, "a", "b")
    show(processor, "a", emotives={"joy": 1})
    processor.clear_stm()
    processor.close()
    processor = make(data)
    assert (processor.time, processor.get_stm(), processor.get_percept_data()) == (3, [], {})
    assert processor.get_model(name)["frequency"] == 1
    show(processor, "x")
    processor.clear_all_memory()
    processor.close()
    processor = make(data)
    assert (processor.time, processor.get_stm(), processor.get_model(name)) == (0, [], None)


def test_the_order_of_first_learning_survives_a_restart(make, show, teach, data):
    """It decides between equal potentials."""
    processor = make(data)
    names = [teach(processor, "a", "b", symbol) for symbol in "zyx"]
    teach(processor, "a", "b", "x")
    processor.close()
    again = make(data)
    for symbol in "yz":
        teach(again, "a", "b", symbol)
    show(again, "a", "b")
    assert [found["name"] for found in again.get_predictions({})] == names


def test_a_changed_threshold_survives_and_era_a_still_goes_on_with_the_genomes(make, show, teach, data):
    """Reported as changed, in both."""
    processor = make(data, era="A", recall_threshold=0.9)
    processor.gene_change("recall_threshold", 0.0)
    teach(processor, "a", "b", "c")
    processor.close()
    for era, found in (("A", 0), ("B", 1)):
        processor = make(data, era=era, recall_threshold=0.9)
        show(processor, "a b")
        assert processor.get_gene("recall_threshold") == 0
        assert len(processor.get_predictions({})) == found
        processor.clear_stm()
        processor.close()


def test_a_changed_id_survives_unless_the_settings_have_one(make, data):
    """What a processor is addressed by is the operator's to say."""
    processor = make(data)
    processor.gene_change("id", "renamed")
    processor.close()
    processor = make(data)
    assert processor.id == "renamed"
    processor.close()
    assert make(data, processor_id="kato").id == "kato"


def test_processors_share_a_file_and_nothing_else(make, show, teach, data):
    """Each under its id, open together and one after the other."""
    one, two = make(data, "one"), make(data, "two")
    name = teach(one, "a", "b")
    two.gene_change("persistence", 9)
    show(two, "x")
    one.clear_stm()
    assert two.get_model(name) is None
    one.close()
    show(two, "y")
    two.close()
    two, one = make(data, "two"), make(data, "one")
    assert (two.get_stm(), two.get_model(name), two.get_gene("persistence")) == ([["x"], ["y"]], None, 9)
    assert (one.get_stm(), one.get_model(name)["frequency"], one.get_gene("persistence")) == ([], 1, 5)
    one.clear_all_memory()
    assert two.get_stm() == [["x"], ["y"]]


def test_one_id_is_open_once(make, data):
    """Two memories of one processor would drift apart."""
    processor = make(data)
    with pytest.raises(InvalidSetting, match="processor 'kato' already uses it in this process"):
        make(data)
    processor.close()
    make(data)


def test_a_processor_that_was_dropped_gives_its_file_back(make, data):
    """Closed or not."""
    from kato_transport import ProcessorSettings
    from kato_transport_processor_memory import SequenceMemory

    SequenceMemory().create(ProcessorSettings(data=data))
    assert make(data).time == 0


def test_a_second_process_is_refused(make, data):
    """It is told who is in the way; the first goes on."""
    holder = python(WRITER, data, "{}", stdin=subprocess.PIPE)
    with holder:
        holder.stdin.write(json.dumps(observation(0)) + "\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(InvalidSetting, match=r"kato\.db.*another process has it open"):
            make(data)
        holder.stdin.write(json.dumps(observation(1)) + "\n")
        holder.stdin.close()
        assert holder.stdout.readline() == "2\n"
    assert make(data).time == 2


def test_a_forked_child_can_neither_use_the_file_nor_harm_it(make, data):
    """The child exits in an orderly way, the parent is killed: its last observation is there."""
    with python(FORKER, data) as forker:
        refusal, time = forker.stdout.read().splitlines()
    assert "opened by the parent of this process" in refusal
    assert time == "2"
    assert make(data).time == 2


@pytest.mark.parametrize("change", ["observe", "learn", "auto_learn", "clear_stm", "clear_all_memory", "gene_change"])
def test_what_cannot_be_written_is_refused_and_has_not_happened(make, show, teach, data, change):
    """A full disk: an error instead of an acknowledgement; all as before, in memory and in the file."""
    processor = make(data)
    name = teach(processor, "a", "b")
    processor.gene_change("max_sequence_length", 3)
    show(processor, "a", "b", emotives={"joy": 1})
    calls = {
        "observe": lambda: show(processor, ""),
        "auto_learn": lambda: show(processor, "c"),
        "learn": processor.learn,
        "clear_stm": processor.clear_stm,
        "clear_all_memory": processor.clear_all_memory,
        "gene_change": lambda: processor.gene_change("persistence", 9),
    }
    before, predictions, model = remembered(processor), processor.get_predictions({}), processor.get_model(name)
    with full_disk(), pytest.raises(ServiceError, match=r"nothing was changed: .*kato\.db cannot be written") as refused:
        calls[change]()
    assert refused.value.code == "internal"
    assert (remembered(processor), processor.get_predictions({}), processor.get_model(name)) == (before, predictions, model)
    processor.close()
    processor = make(data)
    assert (remembered(processor), processor.get_model(name)) == (before, model)


def test_after_a_full_disk_it_goes_on(make, show, teach, data):
    """Once there is room again."""
    processor = make(data)
    with full_disk(), pytest.raises(ServiceError):
        show(processor, "a")
    name = teach(processor, "a", "b")
    processor.close()
    assert make(data).get_model(name)["frequency"] == 1


def test_a_closed_processor_refuses_changes_and_closing_again_does_nothing(make, show, data):
    """Though its file is still open for another one."""
    one = make(data, "one")
    make(data, "two")
    one.close()
    one.close()
    with pytest.raises(ServiceError, match="the processor is closed"):
        show(one, "a")
    assert one.time == 0


def test_a_processor_without_a_file_closes_too(make, show):
    """There is nothing to let go of."""
    processor = make()
    processor.close()
    show(processor, "a")
    assert processor.time == 1


def garbage(path):
    path.write_bytes(b"this is no database" * 500)


def newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_something_else(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE somebodys (data)")
    connection.close()


def with_a_changed_model(path):
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE models SET sequence = '[["a"], ["c"]]'""")
    connection.close()


def with_a_lost_model(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM models WHERE position = 0")
    connection.close()


def with_a_changed_mind(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE processors SET mind = '[]'")
    connection.close()


def overwritten(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (garbage, "file is not a database; give a path that is a SQLite file of this processor"),
        (newer, "schema version 99, and this release knows up to 1; upgrade"),
        (of_something_else, "a SQLite file of something else; give another file"),
        (with_a_changed_model, "damaged .*restore it from a copy"),
        (with_a_lost_model, "damaged .*restore it from a copy"),
        (with_a_changed_mind, "damaged .*restore it from a copy"),
        (overwritten, "malformed; restore it from a copy"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_refused_and_left_alone(make, teach, data, spoil, message):
    """The error names the path and what to do."""
    processor = make(data)
    teach(processor, "a", "b")
    teach(processor, "b", "c")
    processor.close()
    spoil(data)
    spoilt = data.read_bytes()
    with pytest.raises(InvalidSetting, match=rf"kato\.db' cannot be used: .*{message}"):
        make(data)
    if spoil is not overwritten:
        assert data.read_bytes() == spoilt


@pytest.mark.parametrize("path", ["", "missing/kato.db", "file/kato.db", "zero\0byte"])
def test_a_path_that_cannot_be_a_file_is_refused(make, tmp_path, path):
    """A directory, a directory that is not there, a file in place of one, and no path at all."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSetting, match="cannot be used: "):
        make(tmp_path / path)


def test_an_id_that_cannot_be_kept_is_refused(make, data):
    """Half a surrogate pair has no encoding."""
    with pytest.raises(InvalidSetting, match="surrogates not allowed"):
        make(data, "\ud800")


def test_an_empty_file_is_a_new_one(make, data):
    """As `mktemp` leaves it."""
    data.touch()
    assert make(data).time == 0


@pytest.fixture
def guarded():
    """A directory of root's or this user's that cannot be written to meanwhile."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@contextmanager
def unprivileged(folder):
    """Without the right to write there, even for root."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_directory_without_write_permission_is_refused(make, guarded):
    """Where the file is not there yet."""
    with unprivileged(guarded), pytest.raises(InvalidSetting, match="a directory that exists and can be written to"):
        make(guarded / "kato.db")


def test_a_file_without_write_permission_is_refused(make, guarded):
    """Refused at the start, not at the first observation."""
    make(guarded / "kato.db").close()
    (guarded / "kato.db").chmod(0o444)
    with unprivileged(guarded), pytest.raises(InvalidSetting, match="a directory that exists and can be written to"):
        make(guarded / "kato.db")
