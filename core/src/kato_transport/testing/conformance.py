"""`TransportConformance`: all sections together."""

from __future__ import annotations

from kato_transport.testing.sections.asynchronous import Asynchronous
from kato_transport.testing.sections.calls import Calls
from kato_transport.testing.sections.closing import Closing
from kato_transport.testing.sections.endpoints import Endpoints
from kato_transport.testing.sections.errors import Errors
from kato_transport.testing.sections.faults import Faults
from kato_transport.testing.sections.forking import Forking
from kato_transport.testing.sections.in_flight import InFlight
from kato_transport.testing.sections.leaks import Leaks
from kato_transport.testing.sections.limits import Limits
from kato_transport.testing.sections.payloads import Payloads
from kato_transport.testing.sections.peers import Peers
from kato_transport.testing.sections.repeats import Repeats
from kato_transport.testing.sections.soak import Soak
from kato_transport.testing.sections.streams import Streams
from kato_transport.testing.sections.timeouts import Timeouts


# Last first: pytest runs the tests of the last base before those of the first.
class TransportConformance(
    Soak,
    Streams,
    Asynchronous,
    Forking,
    Leaks,
    Closing,
    Repeats,
    Faults,
    Peers,
    Endpoints,
    InFlight,
    Timeouts,
    Limits,
    Payloads,
    Errors,
    Calls,
):
    """What a transport has to do. Subclass it as `Test…`, say `name`, and where needed override what `Conformance` has."""
