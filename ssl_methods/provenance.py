"""Where a result comes from: digests of the sources it rests on, versions, and checksums.

``source_digest`` follows the imports of a stage through this package, so that editing a loss reruns
training and editing a figure does not. Of a method from elsewhere it follows those within its
package, and those of files beside it. Comments and docstrings do not count.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssl_methods import __version__
from ssl_methods.files import file_sha256

PACKAGE = Path(__file__).parent

STAGES = {
    "prepare": ["ssl_methods.data.prepare"],
    "split": ["ssl_methods.data.splits"],
    "train": ["ssl_methods.training.train"],
    "evaluate": ["ssl_methods.evaluation.evaluate"],
    "choose": ["ssl_methods.data.compared"],
    "look": ["ssl_methods.analysis.looks"],
    "collect": ["ssl_methods.analysis.collect", "ssl_methods.analysis.questions"],
    "report": [
        "ssl_methods.reporting.report",
        "ssl_methods.reporting.figures",
        "ssl_methods.analysis.questions",
    ],
    "tune": ["ssl_methods.tuning.answers"],
}

FOUND_BY_FOLDER = {
    "ssl_methods.analysis.questions",
    "ssl_methods.measures",
    "ssl_methods.reporting.figures",
}
"""Packages whose files are found without being imported by name; a stage that uses one uses all."""

# Settings enter a result through their resolved values, which are compared on their own; the rest
# of these cannot change a number. A package stands for all that is in it.
IGNORED = {
    f"ssl_methods.{name}"
    for name in (
        "config",
        "errors",
        "files",
        "locks",
        "plugins",
        "shown",
        "provenance",
        "rests_on",
        "devices",
        "cli",
        "progress",
        "training.interruption",
        "training.observers",
    )
}
# Validation watches training and does not steer it; how cases were prepared shows in their
# checksums; and how a run's record is read.
IGNORED_IN_TRAINING = (
    "ssl_methods.evaluation",
    "ssl_methods.run_record",
    "ssl_methods.data.prepare",
    "ssl_methods.data.importers",
)


def source_digest(stage: str, *plugins: str | None) -> str:
    """Sixteen hexadecimal digits over the modules that a stage imports, transitively.

    ``plugins``: the modules (of files of one's own, their paths) of the method, importer, metrics,
    questions or figures at work.
    """
    named = [plugin for plugin in plugins if plugin is not None]
    modules = [*STAGES[stage], *named]
    homes = [Path(plugin).parent for plugin in named if plugin.endswith(".py")]
    home = homes[-1] if homes else Path()
    visited: set[str] = set()
    seen: dict[str, str] = {}
    while modules:
        name = modules.pop()
        if (
            name in visited
            or is_ignored(name)
            or (stage == "train" and name.startswith(IGNORED_IN_TRAINING))
        ):
            continue
        visited.add(name)
        # A file of the user's own goes by its place beside the last: moving all reruns nothing.
        known_as = os.path.relpath(name, home) if name.endswith(".py") else name
        seen[known_as], imports = _module(name)
        modules += imports
    if stage == "report":
        templates = (PACKAGE / "reporting" / "templates").iterdir()
        seen |= {path.name: file_sha256(path) for path in templates}
    if stage in ("collect", "report"):
        bibliography = PACKAGE / "analysis" / "references.bib"
        seen |= {bibliography.name: file_sha256(bibliography)}
    lines = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def is_ignored(module: str) -> bool:
    """Is the module, or a package that holds it, of those that can change no number?"""
    parts = module.split(".")
    if parts == [PACKAGE.name]:  # it only forwards to the parts that are asked for
        return True
    return any(".".join(parts[:end]) in IGNORED for end in range(2, len(parts) + 1))


@cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of one module's code, and the modules of this package (or a method's) that it
    imports."""
    path = _path(name)
    if path is None:
        return "", ()
    tree = ast.parse(path.read_bytes())
    imports = tuple(_imports(tree, name, path))
    if name in FOUND_BY_FOLDER:
        imports += tuple(f"{name}.{file.stem}" for file in sorted(path.parent.glob("[a-z]*.py")))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), imports


def _path(name: str) -> Path | None:
    """The file of a module, of which none is imported for it; None if it is no Python file."""
    if name.endswith(".py"):  # a method in a file of the user's own, or what it imports
        return Path(name)
    top, *below = name.split(".")
    folder = PACKAGE
    if top != PACKAGE.name:
        spec = find_spec(top)
        if spec is None:
            return None
        if not spec.submodule_search_locations:
            file = Path(spec.origin or "")
            return file if file.suffix == ".py" and not below else None
        folder = Path(next(iter(spec.submodule_search_locations)))
    return _file(folder, below)


def _file(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file() and (parts or path.name == "__init__.py"):
            return path
    return None


def _imports(tree: ast.AST, name: str, path: Path) -> Iterator[str]:
    """Those of a module's imports that are this package, its own package, files beside it."""
    for imported in _imported(tree, name, path.name == "__init__.py"):
        top, *_ = parts = imported.split(".")
        if top == PACKAGE.name or (top == name.split(".")[0] and not name.endswith(".py")):
            yield imported
        elif name.endswith(".py"):
            folders = (path.parent, path.parent.parent, Path.cwd())
            found = [file for folder in folders if (file := _file(folder, parts))]
            yield from map(str, found[:1])


def _imported(tree: ast.AST, name: str, is_package: bool) -> Iterator[str]:
    """Names of modules, or of what is taken out of one, as absolute ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level and not name.endswith(".py"):
                above = name.split(".")
                above = above[: len(above) - node.level + is_package]
                module = ".".join([*above, *filter(None, [node.module])])
            if module:
                yield module
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == "import_module" and isinstance(node.args[0].value, str):
                yield node.args[0].value


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def versions() -> dict[str, str]:
    """Versions of what a result rests on; a package that is absent is left out."""
    # Of the sources that run, which need not be those that are installed.
    found = {"python": platform.python_version(), "ssl-methods": __version__}
    for package in ("torch", "numpy", "scipy", "edt", "snakemake"):
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
    """Commit of these sources, and whether any of them differs from it; empty if that is not known.

    Known it is in a checkout of the project itself: not where the sources were unpacked or
    installed below somebody's repository, whatever the environment says of it (``GIT_DIR``).
    """
    root = PACKAGE.parent
    environment = {key: it for key, it in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0"}  # runs beside this one may be asking too

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=True,
            timeout=60,
            env=environment,
        ).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").removesuffix("\n")) != root.resolve():
            return {}
        git("ls-files", "--error-unmatch", "--", f"{PACKAGE.name}/{Path(__file__).name}")
        edited = git("status", "--porcelain", "--untracked-files=no", "--", PACKAGE.name)
        added = git("ls-files", "--others", "--", f"{PACKAGE.name}/*.py")  # ignored ones run too
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": bool(edited or added)}
    except (OSError, subprocess.SubprocessError):
        return {}
