"""Names of bots: each is pronounceable, and no two are equal."""

from __future__ import annotations

_FIRST = (
    "Al", "An", "Ar", "Bel", "Bo", "Bri", "Ca", "Da", "Dor", "El", "Em", "Fa", "Fin", "Ga",
    "Gre", "Ha", "Hil", "Il", "Jo", "Ka", "Ko", "La", "Li", "Lo", "Ma", "Mi", "Mor", "Na",
    "Ne", "No", "Ol", "Or", "Pa", "Pe", "Ra", "Ri", "Ro", "Sa", "Se", "Sil", "Ta", "Te",
    "Tor", "Ul", "Va", "Ve", "Wi", "Yo", "Ze", "Zo",
)  # fmt: skip
_MIDDLE = (
    "ba", "da", "di", "do", "ga", "la", "le", "li", "lo", "ma", "mi", "na", "ne", "no",
    "ra", "ri", "ro", "sa", "ta", "ve", "vi",
)  # fmt: skip
_LAST = (
    "bert", "da", "dan", "gar", "lan", "len", "lia", "mar", "na", "nir", "ra", "rik", "ron",
    "sha", "ta", "thea", "von", "wen",
)  # fmt: skip

COUNT = len(_FIRST) * len(_MIDDLE) * len(_LAST)
_STEP = 7919  # coprime to COUNT, so that neighbours differ in all syllables


def name_of(number: int) -> str:
    """Return the name of a bot by its number, from 0 on."""
    again, index = divmod(number, COUNT)
    index = index * _STEP % COUNT
    index, first = divmod(index, len(_FIRST))
    middle, last = divmod(index, len(_LAST))
    name = _FIRST[first] + _MIDDLE[middle] + _LAST[last]
    return f"{name}{again + 1}" if again else name
