"""A budget: how many training cases are labeled, as a count (8), a fraction (0.1), or all (1.0).

In tables, names of folders and files, and Snakemake's wildcards it stands as text: '8', '0.1',
'1.0'. How many cases a fraction is of a data set is said by ``data.draw.share``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ssl_methods.errors import UserError

Budget = Annotated[
    Annotated[int, Field(ge=1, le=1_000_000)] | Annotated[float, Field(gt=0.0, le=1.0)],
    BeforeValidator(lambda value: _budget(value)),
]


def budget_text(budget: int | float) -> str:
    """4 -> '4'; 0.1 -> '0.1'; all labels -> '1.0'."""
    return str(budget)


def parse_budget(text: str) -> int | float:
    """The inverse of ``budget_text``; 'all' is 1.0. Raises UserError for anything else."""
    if text == "all":
        return 1.0
    try:
        budget: int | float = int(text) if text.isdecimal() else float(text)
    except ValueError:
        budget = 0
    if (isinstance(budget, int) and budget >= 1) or 0 < budget <= 1:
        return budget
    raise UserError(f"budget '{text}': give a count (8), a fraction (0.1) or 'all'")


def is_all(budget: int | float | str) -> bool:
    """Is every label given? Also of a budget's text; the count 1 is not 1.0."""
    return str(budget) == "1.0"


def budget_name(budget: int | float | str) -> str:
    """'labeled-4': what folders of runs are called, and what names of files begin with."""
    return f"labeled-{budget}"


def _budget(value: Any) -> Any:
    """'all', and numbers in quotes, of which pydantic would take '1.0' for the count 1."""
    try:
        budget = parse_budget(value) if isinstance(value, str) else value
    except UserError as error:
        raise ValueError(str(error)) from None
    is_number = isinstance(budget, int | float) and not isinstance(budget, bool)
    if is_number and not (0 < budget <= 1 or (isinstance(budget, int) and 1 <= budget <= 10**6)):
        raise ValueError("must be a count up to 1000000, a fraction above 0 and up to 1, or 'all'")
    return budget
