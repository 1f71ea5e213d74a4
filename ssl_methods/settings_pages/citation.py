"""What catalogues read of the project: `codemeta.json` and `.zenodo.json`, from CITATION.cff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]


def codemeta(cited: Fields, project: Fields) -> dict[str, Any]:
    """CodeMeta 3.0, from the fields of CITATION.cff and of `[project]` in pyproject.toml."""
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "type": "SoftwareSourceCode",
        "name": project["name"],
        "description": project["description"],
        "version": cited["version"],
        "license": f"https://spdx.org/licenses/{cited['license']}",
        "programmingLanguage": f"Python {project['requires-python']}",
        "operatingSystem": "Linux",
        "keywords": list(project["keywords"]),
        "author": [_codemeta_author(author) for author in cited["authors"]],
        "referencePublication": [
            {
                "type": "ScholarlyArticle",
                "name": paper["title"],
                "datePublished": str(paper["year"]),
            }
            for paper in cited["references"]
        ],
    }


def zenodo(cited: Fields, project: Fields) -> dict[str, Any]:
    """The metadata of a deposit on Zenodo, from the same."""
    return {
        "title": cited["title"],
        "description": project["description"],
        "upload_type": cited["type"],
        "version": cited["version"],
        "license": cited["license"],
        "keywords": list(project["keywords"]),
        "creators": [{"name": _name(author)} for author in cited["authors"]],
    }


def _codemeta_author(author: Fields) -> dict[str, Any]:
    if "family-names" not in author:
        return {"type": "Organization", "name": author["name"]}
    return {
        "type": "Person",
        "givenName": author["given-names"],
        "familyName": author["family-names"],
    }


def _name(author: Fields) -> str:
    if "family-names" not in author:
        return str(author["name"])
    return f"{author['family-names']}, {author['given-names']}"
