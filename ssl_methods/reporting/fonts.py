"""Which installed fonts draw what the usual one lacks, e.g. Chinese names of classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.text import Text

USUAL = "DejaVu Sans"


def draw_with_fallbacks(texts: Iterable[Text]) -> tuple[str, bool]:
    """Gives texts the fonts that they need beside their own.

    Returns the characters that no installed font draws, in their order; and whether one of the
    fonts given has outlines that a PDF cannot embed as TrueType.
    """
    texts = [text for text in texts if lacking(text.get_text(), (USUAL,))]
    found = families("".join(sorted({*"".join(text.get_text() for text in texts)})))
    for text in texts:
        text.set_fontfamily([USUAL, *found])
    lacks = lacking("".join(text.get_text() for text in texts), (USUAL, *found))
    return "".join(sorted(lacks)), not all(map(_is_truetype, found))


@cache
def families(characters: str) -> tuple[str, ...]:
    """The fewest installed families, found greedily, that draw what the usual one lacks of these.

    Those without serifs first.
    """
    lacks, found = lacking(characters, (USUAL,)), []
    names = sorted(_upright() if lacks else (), key=_sans_first)
    while lacks and names:
        best = max(names, key=lambda name: len(lacks & glyphs(name)))
        if not lacks & glyphs(best):
            break
        found.append(best)
        lacks -= glyphs(best)
    return tuple(found)


def lacking(text: str, fonts: tuple[str, ...]) -> set[str]:
    """The characters of a text that none of these families draws, but for those that are unseen."""
    drawn = set().union(*map(glyphs, fonts))
    unseen = {"Cc", "Cf", "Zs", "Zl", "Zp", "Mn"}
    return {c for c in set(text) - drawn if unicodedata.category(c) not in unseen}


@cache
def glyphs(family: str) -> frozenset[str]:
    """What a family draws; nothing if its file cannot be used."""
    try:
        font = font_manager.get_font(_upright()[family])
        font.set_size(8, 100)
        codes = font.get_charmap()
        font.load_char(next(iter(codes)))  # pictures of fixed sizes cannot be drawn
    except (KeyError, ValueError, RuntimeError, OSError, StopIteration):
        return frozenset()
    return frozenset(map(chr, codes))


def _upright() -> dict[str, str]:
    """The file of each family's upright, regular font; families without one are left out.

    So is the one of boxes for every character there is ('Last Resort'), which matplotlib has.
    """
    entries, usual = font_manager.fontManager.ttflist, ("normal", 400, "normal")
    return {
        it.name: it.fname
        for it in entries
        if (it.style, it.weight, it.stretch) == usual and "last resort" not in it.name.lower()
    }


def _sans_first(family: str) -> tuple[bool, str]:
    return "Sans" not in family or "Mono" in family, family


@cache
def _is_truetype(family: str) -> bool:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(_upright()[family], fontNumber=0, lazy=True) as font:
        return bool("glyf" in font)
