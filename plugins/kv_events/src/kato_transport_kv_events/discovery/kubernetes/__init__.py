"""`kubernetes:`: a source for each pod that has certain labels and is ready, as the Kubernetes API tells of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import evolve, frozen

from kato_transport import InvalidSetting
from kato_transport_kv_events.discovery.kubernetes.access import Access
from kato_transport_kv_events.discovery.kubernetes.api import Api
from kato_transport_kv_events.discovery.kubernetes.pods import Pods
from kato_transport_kv_events.discovery.kubernetes.watch import PodWatch
from kato_transport_kv_events.discovery.spec import Spec
from kato_transport_kv_events.discovery.template import Template

PRESETS: Final = {
    "aibrix": {
        "selector": "model.aibrix.ai/kv-events-enabled=true",
        "model-label": "model.aibrix.ai/name",
        "port": "5557",
        "replay": "5558",
    },
    "llm-d": {
        "selector": "llm-d.ai/inference-serving=true",
        "model-label": "llm-d.ai/model",
        "port": "5557",
    },
}
"""Options for what others deploy, with the ports that these expect themselves; llm-d asks nobody for a replay unless told."""
EVERYWHERE: Final = "*"


@frozen(kw_only=True)
class Selecting:
    """Which pods, and how the API is reached."""

    preset: str = ""
    selector: str = ""
    """Label selector, as `kubectl get pods -l` takes it."""
    model_label: str = ""
    """The label, or annotation, that names a pod's model."""
    namespace: str = ""
    """Empty for the one that this is run in; `*` for all."""
    token_file: str = ""
    ca_file: str = ""


def open_kubernetes(spec: Spec) -> PodWatch:
    """The target is the API's address; without one, it is that of the cluster that this is run in."""
    preset = spec.options.get("preset")
    if preset is not None and preset not in PRESETS:
        raise spec.wrong(f"there is no preset {preset!r}; there are: {', '.join(PRESETS)}")
    selecting, template = spec.over(PRESETS[preset] if preset else {}).settings(Selecting, Template)
    if not selecting.selector:
        raise spec.wrong(f"say which pods, by selector=LABEL=VALUE or by a preset: {', '.join(PRESETS)}")
    try:
        access = _access(spec.target, selecting)
    except InvalidSetting as exc:
        raise spec.wrong(exc) from exc
    namespace = selecting.namespace or access.namespace
    path = "/api/v1/pods" if namespace == EVERYWHERE else f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    return PodWatch(spec.text, Api(access), path, selecting.selector, Pods(template, selecting.model_label))


def _access(url: str, selecting: Selecting) -> Access:
    access = Access(url=url) if url else Access.in_cluster(os.environ)
    return evolve(
        access,
        token_file=Path(selecting.token_file) if selecting.token_file else access.token_file,
        ca_file=Path(selecting.ca_file) if selecting.ca_file else access.ca_file,
    )
