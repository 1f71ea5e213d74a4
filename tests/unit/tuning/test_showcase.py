"""What is kept of a study: its tables, and a page whose numbers are those of the tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from support.studies import declare

from ssl_methods.analysis.table_files import write_table
from ssl_methods.tuning.showcase import showcase


def test_the_page_says_what_the_tables_say(tmp_path):
    study = declare()
    folder = tmp_path / study.folder
    folder.mkdir(parents=True)
    states = ["complete", "complete", "pruned", "failed", "pruned"]
    write_table(folder / "trials.csv", pd.DataFrame({"method": "dtc", "state": states}))
    tuned = {
        "method": "dtc", "default_dice": 0.5, "tuned_dice": 0.5625, "difference": 0.0625,
        "low": -0.01, "high": 0.125, "runs": 3, "verdict": "cannot be told",
    }  # fmt: skip
    write_table(folder / "tuned.csv", pd.DataFrame([tuned]))
    kept = showcase(study, Path("configs/studies/s.yaml"), tmp_path)
    page = (kept / "README.md").read_text()
    assert "DTC: 2 complete, 2 pruned, 1 failed" in page
    assert "| DTC | 50.0 | 56.2 | +6.2 [-1.0, +12.5] | cannot be told |" in page
    assert (kept / "tuned.csv").read_bytes() == (folder / "tuned.csv").read_bytes()


def test_notes_are_kept_and_shown(tmp_path):
    study = declare()
    folder = tmp_path / study.folder
    folder.mkdir(parents=True)
    write_table(folder / "trials.csv", pd.DataFrame({"method": "dtc", "state": ["complete"]}))
    notes = tmp_path / "showcase" / "tuning" / study.name / "NOTES.md"
    notes.parent.mkdir(parents=True)
    notes.write_text("What it means.\n")
    kept = showcase(study, Path("s.yaml"), tmp_path)
    assert notes.read_text() == "What it means.\n"
    assert "What it means." in (kept / "README.md").read_text()
