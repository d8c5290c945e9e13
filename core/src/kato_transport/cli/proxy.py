"""`kato-transport proxy`: one connection to a server, shared by whoever connects here."""

from __future__ import annotations

import logging

import click

import kato_transport as kt
from kato_transport.cli.daemon import log_to_stderr, say_ready, stop_on_signals
from kato_transport.settings import Settings

log = logging.getLogger("kato_transport.proxy")

ONE_ONLY = "one only, as what is asked again, and what belongs together, must reach the same server; run a proxy for each"


@click.command()
@click.option(
    "--endpoint",
    default="tcp://127.0.0.1:5556",
    show_default=True,
    help="Where clients connect: tcp://HOST:PORT (port 0: any free one) or ipc://PATH.",
)
@click.option("--upstream", "upstreams", required=True, multiple=True, metavar="ENDPOINT", help=f"The server: {ONE_ONLY}.")
def command(endpoint: str, upstreams: tuple[str, ...]) -> None:
    """Let many processes share one connection to a ZeroMQ server, until SIGINT or SIGTERM, then drain and exit.

    Once the server can be reached, it prints one line of JSON: ready, endpoint (as bound), upstream and pid. While there is
    no server, nothing listens at the endpoint. Logs go to stderr. A second signal ends it at once.
    """
    if len(upstreams) > 1:
        raise click.UsageError(f"--upstream names the server: {ONE_ONLY}")
    try:
        from kato_transport.zeromq.proxy import Proxy
    except ModuleNotFoundError as exc:
        raise kt.ConfigurationError("proxy needs pyzmq: pip install kato-transport-zmq-improved") from exc
    settings = Settings.from_env()
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    options = settings.client_options(kt.registry().codec(settings.codec))
    proxy = Proxy(endpoint, upstreams[0], options, settings.drain_s)

    def on_open() -> None:
        log.info("open at %s", proxy.endpoint)
        if proxy.openings == 1:
            say_ready(endpoint=proxy.endpoint, upstream=proxy.upstream)

    log.info("waiting for %s", proxy.upstream)
    proxy.run(stop, on_open)
