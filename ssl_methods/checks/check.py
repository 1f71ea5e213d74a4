"""One check: a property that raises where it is absent, and the methods that it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssl_methods.config import RampedConfig
from ssl_methods.methods.base import Method

Kind = type[Method]


class Broken(Exception):
    """The method lacks a property; the message says how."""


@dataclass(frozen=True)
class Check:
    """One property, and which methods it concerns."""

    holds: Callable[[str], None]
    concerns: Callable[[Kind], bool]


def check(concerns: Callable[[Kind], bool]) -> Callable[[Callable[[str], None]], Check]:
    """A function of a method's name, which raises if the property is absent, as a check."""
    return lambda holds: Check(holds, concerns)


def every(kind: Kind) -> bool:
    return True


def trained(kind: Kind) -> bool:
    return kind.role != "control"


def semi_supervised(kind: Kind) -> bool:
    return kind.uses_unlabeled


def ramped(kind: Kind) -> bool:
    return kind.uses_unlabeled and issubclass(kind.Config, RampedConfig)


def need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Broken(otherwise)
