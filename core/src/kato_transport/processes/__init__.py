"""Processors in processes of their own, for work that keeps a processor core busy: Python runs one thread at a time.

Each process is a `kato-transport serve` with its share of the processors (`worker.py`), asked over a socket that only
this user can reach; in front of them stands a service that passes each request to the process it is for (`service.py`).
"""
