"""`python -m kato_transport` is `kato-transport`."""

from __future__ import annotations

from kato_transport.cli import main

main()
