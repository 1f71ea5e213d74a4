"""Properties of a method's file: what it says of the method, and how long it is."""

from __future__ import annotations

import inspect
from pathlib import Path

from ssl_methods import methods
from ssl_methods.checks.check import check, every, need

LONGEST_FILE = 120  # lines, of a method in this package


@check(every)
def is_documented(name: str) -> None:
    """A summary and the meaning of each setting; in this package also deviations and length."""
    kind = methods.method_class(name)
    module = inspect.getmodule(kind)
    document = (module and inspect.getdoc(module)) or ""
    summary = document.partition("\n")[0]
    need(summary.endswith("."), "the file's docstring must begin with one line that ends in '.'")
    for title, field in kind.Config.model_fields.items():
        need(bool(field.description), f"the setting '{title}' does not say what it is")
    if methods.modules()[name].startswith("ssl_methods."):
        need("Deviations" in document, "the file's docstring has no 'Deviations' from its source")
        lines = len(Path(inspect.getfile(kind)).read_text(encoding="utf-8").splitlines())
        need(lines <= LONGEST_FILE, f"the file has {lines} lines; {LONGEST_FILE} are allowed")
