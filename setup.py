"""What pyproject.toml cannot say: a wheel holds the workflow, its profiles and the configurations.

They stand at the top of the repository, where Snakemake and its users look for them, and are copied
into the package when it is built (``ssl_methods/project.py`` finds them in either place).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PARTS = ("Snakefile", "workflow", "profiles", "configs", "benchmarks/measured")


class WithWorkflow(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for part in PARTS:
                self._take_along(Path(part), Path(self.build_lib, "ssl_methods", "_project", part))

    def _take_along(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)


setup(cmdclass={"build_py": WithWorkflow})
