"""Finding sources: a file, DNS, the Kubernetes API, or what a plugin brings, told to a manager while it runs.

The parts build on each other in this order: `contract` (what a discovery is), `reconcile` (what to remove and add, without
I/O), `roster` (which does it), `spec` (a discovery as a person writes it), `opening` (the plugin that a spec names), and the
discoveries themselves. A discovery is a plugin: a factory `Spec -> Discovery`, under its scheme's name in the entry-point
group `kato_transport.kv_discoveries`.
"""

from kato_transport_kv_events.discovery.contract import Discovery, Report
from kato_transport_kv_events.discovery.opening import GROUP, open_discovery
from kato_transport_kv_events.discovery.polled import Polled
from kato_transport_kv_events.discovery.roster import DiscoveryStats, Roster
from kato_transport_kv_events.discovery.spec import Spec
from kato_transport_kv_events.discovery.template import Template

__all__ = ["GROUP", "Discovery", "DiscoveryStats", "Polled", "Report", "Roster", "Spec", "Template", "open_discovery"]
