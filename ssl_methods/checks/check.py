"""One check: a property that raises where it is absent, and the methods that it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssl_methods.config import RampedConfig
from ssl_methods.methods.base import Method

Kind = type[Method]


class Broken(Exception):
    """The method lacks a property; the message says how."""


class Skipped(Exception):
    """The method has nothing of which the property could be asked; the message says what."""


class Remark(Exception):
    """The method does what is right in some methods and a fault in others; the message says it."""


@dataclass(frozen=True)
class Check:
    """One property, and why a method is not asked for it; '' if it is."""

    holds: Callable[[str], None]
    spares: Callable[[Kind], str]


def check(spares: Callable[[Kind], str]) -> Callable[[Callable[[str], None]], Check]:
    """A function of a method's name, which raises if the property is absent, as a check."""
    return lambda holds: Check(holds, spares)


def every(kind: Kind) -> str:
    return ""


def trained(kind: Kind) -> str:
    return "a control is not trained" if kind.role == "control" else ""


def semi_supervised(kind: Kind) -> str:
    return "" if kind.uses_unlabeled else "it says uses_unlabeled = False"


def ramped(kind: Kind) -> str:
    return semi_supervised(kind) or has_ramp(kind)


def has_ramp(kind: Kind) -> str:
    weighs = issubclass(kind.Config, RampedConfig)
    return "" if weighs else "its settings have no weight that rises (RampedConfig)"


def need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Broken(otherwise)
