"""`kato-transport kv match`: who holds the leading blocks of a prompt."""

from __future__ import annotations

import json
from typing import Any

import click

from kato_transport.cli.output import as_json, print_table
from kato_transport_kv_events.cli.asking import Service, json_option, query_options, wants_json

HEADER = ("pod", "rank", "blocks", "by medium", "state")


@click.command()
@click.option(
    "--tokens",
    "file",
    required=True,
    type=click.File("rb"),
    help="The prompt's token ids, a JSON array or numbers between spaces; -: standard input.",
)
@click.option("--model", default="", help="As the sources are given it.")
@click.option("--lora-name", help="The adapter's name.")
@click.option("--lora-id", type=click.IntRange(min=1), help="The adapter's id, of engines too old to tell its name.")
@click.option("--cache-salt", help="The request's cache salt.")
@query_options
@json_option
def command(
    file: Any,
    model: str,
    lora_name: str | None,
    lora_id: int | None,
    cache_salt: str | None,
    endpoint: str,
    transport: str | None,
    timeout_s: float,
    as_lines: bool,
) -> None:
    """Print which pods hold the leading blocks of a prompt, the best one first."""
    if lora_name is not None and lora_id is not None:
        raise click.UsageError("an adapter has a name or an id; give --lora-name or --lora-id, not both")
    adapter = lora_name if lora_id is None else lora_id
    params = {"token_ids": _token_ids(file.read()), "model": model, "lora_name": adapter, "cache_salt": cache_salt}
    answer = Service(endpoint, transport, timeout_s).ask("POST", "kv.match", params)
    if wants_json(as_lines):
        click.echo(as_json(answer))
        return
    click.echo(f"{answer['blocks']} blocks of {answer['block_size']} tokens")
    print_table(HEADER, [_row(pod) for pod in answer["pods"]])


def _token_ids(data: bytes) -> list[int]:
    text = data.strip()
    try:
        found = json.loads(text) if text.startswith(b"[") else [int(word) for word in text.split()]
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(type(item) is int for item in found):
        raise click.BadParameter("expected a JSON array of token ids, or numbers between spaces", param_hint="--tokens")
    return found


def _row(pod: dict[str, Any]) -> tuple[Any, ...]:
    by_medium = ", ".join(f"{medium} {blocks}" for medium, blocks in pod["by_medium"].items())
    return pod["pod"], pod["rank"], pod["blocks"], by_medium, pod["state"]
