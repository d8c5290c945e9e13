"""Questions about who holds what, answered over HTTP and over request transports.

The parts build on each other in this order: `questions` (what may be asked), `queries` (what is answered), `routes` and `http`
(the same over HTTP, with metrics), `running` (all of it in one process).
"""
