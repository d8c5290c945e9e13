"""Where the API is, and how to be let in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from attrs import field, frozen

from kato_transport import InvalidSetting

FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, its namespace and the API's certificate authority."""


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            return url.rstrip("/")
    except ValueError:  # a port that is none
        pass
    raise InvalidSetting(
        f"{url!r} is no address of an API; expected https://HOST:PORT, or http://127.0.0.1:8001 for kubectl proxy"
    )


@frozen(kw_only=True)
class Access:
    """Files are read at every request, as Kubernetes renews tokens and authorities."""

    url: str = field(converter=_checked)
    token_file: Path | None = None
    ca_file: Path | None = None
    """Authorities to be trusted; the system's own where it is None."""
    namespace: str = "default"

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str], folder: Path = FOLDER) -> Self:
        """As a pod's service account; `InvalidSetting` where this is no pod."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise InvalidSetting(
                "this is no pod, as KUBERNETES_SERVICE_HOST is not set; "
                "say where the API is, as in kubernetes:http://127.0.0.1:8001?… beside `kubectl proxy`"
            )
        own = folder / "namespace"
        return cls(
            url=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            token_file=folder / "token",
            ca_file=folder / "ca.crt",
            namespace=own.read_text().strip() if own.exists() else "default",
        )

    def token(self) -> str:
        """Empty where there is none; `OSError` where its file cannot be read."""
        return self.token_file.read_text().strip() if self.token_file else ""
