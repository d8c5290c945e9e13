"""What outlives a process: snapshots of an index, and the file that it is kept in."""

from kato_transport_kv_events.keeping.file import Keeping, restored
from kato_transport_kv_events.keeping.snapshots import Saved, Snapshots, SnapshotStats

__all__ = ["Keeping", "Saved", "SnapshotStats", "Snapshots", "restored"]
