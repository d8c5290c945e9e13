"""What plugins share that speak HTTP: a server on a thread, routes in a table, refusals in JSON, and a description of both.

Needs httptools and starlette, which core does not install by itself: a plugin that imports this depends on them.
"""
