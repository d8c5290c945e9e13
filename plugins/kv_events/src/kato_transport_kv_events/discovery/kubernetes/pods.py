"""Pods as the API tells of them, and the sources that they are: no sockets, no clocks."""

from __future__ import annotations

from collections.abc import Iterable

from kato_transport_kv_events.discovery.kubernetes.errors import ApiError, Gone
from kato_transport_kv_events.discovery.kubernetes.objects import Event, Metadata, Pod, Status, decoded
from kato_transport_kv_events.discovery.template import Template
from kato_transport_kv_events.subscription.source import Source


class Pods:
    """What is known of them, and since which version."""

    def __init__(self, template: Template, model_label: str) -> None:
        self.version = ""
        """The last change that is known; empty where everything is to be asked for."""
        self._template = template
        self._model_label = model_label
        self._sources: dict[str, Source] = {}

    def sources(self) -> list[Source]:
        return [self._sources[name] for name in sorted(self._sources)]

    def listed(self, pods: Iterable[Pod], version: str) -> None:
        """These are all."""
        self._sources.clear()
        for pod in pods:
            self._put(pod)
        self.version = version

    def changed(self, line: bytes) -> bool:
        """Take in a line of a watch; whether there is something to be told. `Gone` or `ApiError` where that ends the watch."""
        event = decoded(line, Event)
        if event.type == "ERROR":
            status = decoded(event.object, Status)
            raise (Gone if status.code == 410 else ApiError)(f"the watch ended: {status.message}")
        if event.type not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            return False
        pod = decoded(event.object, Pod)
        self.version = pod.metadata.resource_version or self.version
        if event.type == "BOOKMARK":
            return True
        before = self._sources.pop(_name(pod), None)
        if event.type != "DELETED":
            self._put(pod)
        return before != self._sources.get(_name(pod))

    def _put(self, pod: Pod) -> None:
        if pod.serves:
            name = _name(pod)
            self._sources[name] = self._template.source(name, pod.status.ip, self._model(pod.metadata))

    def _model(self, metadata: Metadata) -> str:
        """By its label, or by its annotation of the same key, as labels hold no slash."""
        for found in (metadata.labels, metadata.annotations):
            if found and found.get(self._model_label):
                return found[self._model_label]
        return ""


def _name(pod: Pod) -> str:
    """As AIBrix and llm-d call it: names are told apart by namespaces."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"
