"""Where a result comes from: digests of the sources it rests on, versions, and checksums.

``source_digest`` follows the imports of a stage through this package, so that editing a loss reruns
training and editing a figure does not. Comments and docstrings do not count.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssl_methods.files import file_sha256

PACKAGE = Path(__file__).parent

STAGES = {
    "prepare": ["ssl_methods.data.prepare", "ssl_methods.data.importers"],
    "split": ["ssl_methods.data.splits"],
    "train": ["ssl_methods.training.train"],
    "evaluate": ["ssl_methods.evaluation.evaluate"],
    "collect": ["ssl_methods.analysis.collect"],
    "report": ["ssl_methods.reporting.report"],
    "tune": ["ssl_methods.tuning.answers"],
}

# Settings enter a result through their resolved values, which are compared on their own; the rest
# of these cannot change a number. A package stands for all that is in it.
IGNORED = {
    f"ssl_methods.{name}"
    for name in (
        "config",
        "errors",
        "files",
        "locks",
        "shown",
        "provenance",
        "devices",
        "cli",
        "training.interruption",
    )
}
# Validation watches training and does not steer it; how cases were prepared shows in their
# checksums.
IGNORED_IN_TRAINING = (
    "ssl_methods.evaluation",
    "ssl_methods.data.prepare",
    "ssl_methods.data.importers",
)


def source_digest(stage: str, method: str | None = None) -> str:
    """Sixteen hexadecimal digits over the modules that a stage (and a method) imports,
    transitively."""
    modules = list(STAGES[stage])
    if method is not None:
        from ssl_methods.methods import modules as method_modules

        modules.append(method_modules()[method])
    seen: dict[str, str] = {}
    while modules:
        name = modules.pop()
        if (
            name in seen
            or is_ignored(name)
            or (stage == "train" and name.startswith(IGNORED_IN_TRAINING))
        ):
            continue
        seen[name], imports = _module(name)
        modules += imports
    if stage == "report":
        templates = (PACKAGE / "reporting" / "templates").iterdir()
        seen |= {path.name: file_sha256(path) for path in templates}
    if stage in ("collect", "report"):
        bibliography = PACKAGE / "analysis" / "references.bib"
        seen |= {bibliography.name: file_sha256(bibliography)}
    # A file of the user's own goes by its name: moving the project reruns nothing.
    seen = {Path(name).name if name.endswith(".py") else name: seen[name] for name in seen}
    lines = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def is_ignored(module: str) -> bool:
    """Is the module, or a package that holds it, of those that can change no number?"""
    parts = module.split(".")
    return any(".".join(parts[:end]) in IGNORED for end in range(2, len(parts) + 1))


@cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of one module's code, and the modules of this package (or a method's) that it
    imports."""
    path = _path(name)
    if path is None:
        return "", ()
    tree = ast.parse(path.read_bytes())
    imports = tuple(_imports(tree))
    if path.name == "__init__.py" and name == "ssl_methods.data.importers":
        imports += tuple(f"{name}.{file.stem}" for file in sorted(path.parent.glob("[a-z]*.py")))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), imports


def _path(name: str) -> Path | None:
    if name.endswith(".py"):  # a method in a file of the user's own
        return Path(name)
    if not name.startswith("ssl_methods"):
        spec = find_spec(name)
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
    base = PACKAGE.joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("ssl_methods")
        ):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ssl_methods"))


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def versions() -> dict[str, str]:
    """Versions of what a result rests on; a package that is absent is left out."""
    found = {"python": platform.python_version()}
    for package in ("ssl-methods", "torch", "numpy", "scipy", "edt", "snakemake"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The CPU's name: others may round the last bit otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_state() -> dict[str, Any]:
    """Commit of the source tree and whether it was changed; empty outside a git checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--", "ssl_methods")),
        }
    except (OSError, subprocess.SubprocessError):
        return {}
