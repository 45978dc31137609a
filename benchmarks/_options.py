"""The options that all questions have."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from _clients import CONTESTANTS

TLS = ["none", "TLSv1_3"]
UNITS = {"KB": 1000, "MB": 1_000_000}


def parser(doc: str | None, *, seconds: float, rounds: int) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--seconds", type=float, default=seconds, help="for each turn")
    made.add_argument("--quick", action="store_true", help="one short round")
    made.add_argument("--only", help="names of contestants, by semicolons")
    made.add_argument("--output", help="a file for lines of JSON")
    return made


def parse(made: argparse.ArgumentParser) -> argparse.Namespace:
    args = made.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, 0.05
    return args


def names(args: argparse.Namespace, contestants: Iterable[str]) -> list[str]:
    """Who takes part: those of the question, or those asked for."""
    if args.only is None:
        return list(contestants)
    asked = [name.strip() for name in args.only.split(";")]
    unknown = [name for name in asked if name not in CONTESTANTS]
    if unknown:
        known = "; ".join(CONTESTANTS)
        raise SystemExit(f"no contestant {unknown[0]!r}; there are {known}")
    return asked


def version(tls: str) -> str | None:
    return None if tls == "none" else tls


def size(text: str) -> int:
    """Bytes, from a text like ``10KB``."""
    number, unit = text[:-2], text[-2:].upper()
    return int(number) * UNITS[unit]


def spoken(size: int) -> str:
    whole, unit = (
        (size // 1000, "KB") if size < 1_000_000 else (size // 1_000_000, "MB")
    )
    return f"{whole} {unit}"
