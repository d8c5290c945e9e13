"""What a soak comes to: one map for programs, a text for people, and the zeros that decide."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.environment import environment
from bench.soak.course import Soak
from bench.soak.stage import Stage

MOST_COMPLAINTS = 20


def report(soak: Soak, stage: Stage, seed: int) -> dict[str, Any]:
    """Everything; `ok` says whether each of `zeros` is one."""
    found, tally, audits = soak.found, soak.found.tally, soak.audits.values()
    disagreements: Counter[str] = sum((audit.findings for audit in audits), Counter())
    disorderly = [sentence for command in stage.commands.values() for sentence in command.complaints]
    zeros = {
        "untyped errors": tally.untyped,
        "wrong answers": tally.wrong,
        "overdue calls": tally.overdue,
        **{f"observations {what}": disagreements[what] for what in ("lost", "doubled", "disordered", "refused but run")},
        **{f"{what} leaked": count for what, count in found.leaks.items()},
        "processes that hung, died or ended in disorder": found.broken + len(disorderly),
    }
    return {
        "ok": not any(zeros.values()),
        "zeros": zeros,
        "seed": seed,
        "seconds": round(found.seconds, 1),
        "shifts": found.shifts,
        "calls": tally.calls,
        "answered": tally.answered,
        "typed_errors": dict(tally.typed.most_common()),
        "observations": {what: sum(getattr(audit, what) for audit in audits) for what in _OBSERVATIONS},
        "restarts": {name: command.restarts for name, command in stage.commands.items()},
        "reconnections": found.reconnections,
        "repeats_answered_from_the_reply_cache": sum(server.repeats for server in stage.servers.values()),
        "faults": dict(soak.faults.struck.most_common()),
        "messages": dict(stage.messages.counts),
        "memory": soak.scales.figures(),
        "complaints": [*found.complaints, *disorderly, *tally.complaints][:MOST_COMPLAINTS],
        "environment": environment(),
    }


def as_text(report: dict[str, Any]) -> str:
    """The same for people; the memory's samples are left out."""
    lines = [
        f"soak of {report['seconds']:g} s, seed {report['seed']}, {report['shifts']} shifts",
        "",
        *_table("calls", {"calls": report["calls"], "answered": report["answered"], **report["typed_errors"]}),
        *_table("observations", report["observations"]),
        *_table("faults", {**report["faults"], **{f"messages {what}": count for what, count in report["messages"].items()}}),
        *_table(
            "recovery",
            {
                **{f"restarts of {name}": count for name, count in report["restarts"].items() if count},
                "reconnections": report["reconnections"],
                "repeats answered from the reply cache": report["repeats_answered_from_the_reply_cache"],
            },
        ),
        *_memory(report["memory"]),
        *_table("must be 0", report["zeros"]),
        *(f"! {sentence}" for sentence in report["complaints"]),
        "in order" if report["ok"] else "NOT in order",
    ]
    return "\n".join(lines)


_OBSERVATIONS = ("acknowledged", "refused", "unknown", "late")
"""Of those that nobody knew of, `late` came after the memory had been looked at once."""


def _table(title: str, rows: dict[str, Any]) -> list[str]:
    return [f"{title}:", *(f"  {name:<48} {value:>10,}" for name, value in rows.items()), ""]


def _memory(memory: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"{'memory, MiB:':<20} {'lives':>6} {'first':>8} {'last':>8} {'most':>8}  trend a minute"]
    for name, curve in memory.items():
        slope = curve["slope_mib_per_minute"]
        trend = "too short to tell" if slope is None else f"{slope:+.3f}"
        sizes = " ".join(f"{curve[size]:>8,}" for size in ("first_mib", "last_mib", "most_mib"))
        lines.append(f"  {name:<18} {curve['lives']:>6} {sizes}  {trend}")
    return [*lines, ""]
