"""Templates of avatar ids, by which several stores of users give theirs different ones.

A template is literal text around one `{name}`, such as `corp/{name}` or `{name}@corp.example`. Two
stores are apart, so that no name of one and no name of the other give the same avatar id, if
neither prefix begins the other's, or neither suffix ends the other's.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from actorcred.errors import AccountError
from actorcred.names import make_avatar_id

__all__ = [
    "ISSUER",
    "AvatarIds",
    "IdSpace",
    "NameRefused",
    "TemplateError",
    "parse_avatar_ids",
    "require_apart",
]


logger = logging.getLogger("actorcred.checkers")

NAME: Final = "name"

ISSUER: Final = "issuer"
"""The field for the issuer that the checker states of each user (`Identity.issuer`)."""

_PART = re.compile(r"\{([^{}]*)\}|([{}])|([^{}]+)")


class TemplateError(ValueError):
    """A template cannot be used.

    Args:
        message: what is wrong.
        position: where in the template, from 0.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class NameRefused(ValueError):
    """A name cannot be put into a template. The text does not show the name."""


@dataclass(frozen=True, slots=True)
class AvatarIds:
    """The template of a store's avatar ids; `parse_avatar_ids` makes one.

    Args:
        template: the template as it was written.
        prefix: the text before the name; if the issuer is in it, the text before the issuer.
        middle: the text between the issuer and the name; None without the issuer.
        suffix: the text after the name.
    """

    template: str
    prefix: str
    middle: str | None
    suffix: str

    def __str__(self) -> str:
        return self.template

    @property
    def separators(self) -> frozenset[str]:
        """The characters of the text that separate it from the name."""
        before = self.prefix if self.middle is None else self.middle
        return frozenset(text for text in (before[-1:], self.suffix[:1]) if text)

    def make(self, name: str, issuer: str | None = None) -> str:
        """Return the avatar id of a user.

        Args:
            name: the name by which the store knows the user.
            issuer: the user's issuer, which only a template with `{issuer}` needs.

        Raises:
            NameRefused: if the name contains the character that separates it from the template's
                text, or the issuer is needed and not known.
        """
        before = self.prefix
        if self.middle is not None:
            if not issuer:
                raise NameRefused("the avatar id needs an issuer, and the checker states none")
            before = f"{before}{issuer}{self.middle}"
        for separator in self.separators:
            if separator in name:
                raise NameRefused(f"the name contains {separator!r}, which ends it in {self}")
        made = make_avatar_id(f"{before}{name}{self.suffix}")
        # A combining mark at the start of the name would change the text before it.
        if not made.startswith(before) or not made.endswith(self.suffix):
            raise NameRefused(f"the name would change the text around it in {self}")
        return made


def parse_avatar_ids(template: str, fields: Mapping[str, str] | None = None) -> AvatarIds:
    """Return a template of avatar ids.

    Args:
        template: text around `{name}`, which is separated from it by a character that is no letter
            and no digit. Before `{name}` there may be `{issuer}`, once, and the names of `fields`.
        fields: name -> text to put there.

    Raises:
        TemplateError: if it cannot be used.
    """
    parts = list(_PART.finditer(template))
    for part in parts:
        if part[1] is not None and part[1] not in {NAME, ISSUER, *(fields or ())}:
            raise TemplateError(_why_unknown(part[1], fields or {}), part.start())
    found = [part for part in parts if part[1] == NAME]
    if len(found) != 1:
        place = found[1].start() if found else 0
        raise TemplateError("a template needs {name}, once, such as corp/{name}", place)
    before, after = _texts(template, parts, found[0], fields or {})
    issuer_is_next = len(before) == 2 and not before[1]
    _check_separator("x" if issuer_is_next else before[-1][-1:], found[0].start() - 1)
    _check_separator(after[:1], found[0].end())
    prefix, middle = (before[0], before[1]) if len(before) == 2 else (before[0], None)
    return AvatarIds(template, prefix, middle, after)


def _texts(
    template: str,
    parts: Sequence[re.Match[str]],
    name: re.Match[str],
    fields: Mapping[str, str],
) -> tuple[list[str], str]:
    """Return the text before the name, in two parts if the issuer is in it, and that after it."""
    before, after = [""], ""
    for part in parts:
        field, at = part[1], part.start()
        if part[2]:
            raise TemplateError("a brace belongs to a field, such as {name}", at)
        if part is name:
            continue
        if field is None or field in fields:
            text = part[3] if field is None else fields[field]
            _check_text(text, at)
        if field is not None and at > name.start():
            raise TemplateError("fields stand before {name}", at)
        if at > name.start():
            after += text
        elif field is None or field in fields:
            before[-1] += text
        elif len(before) == 1:
            before.append("")
        else:
            raise TemplateError("{issuer} can be used once", at)
    return before, after


def _why_unknown(field: str, fields: Mapping[str, str]) -> str:
    known = ", ".join(f"{{{name}}}" for name in (NAME, ISSUER, *fields))
    hint = "; {issuer_name} needs the option issuer_name=NAME" if field == "issuer_name" else ""
    return f"unknown field {{{field}}}; the fields are {known}{hint}"


def _check_text(text: str, position: int) -> None:
    try:
        usable = make_avatar_id(text) == text
    except ValueError as error:
        raise TemplateError(str(error), position) from None
    if not usable:
        raise TemplateError("the text must be in Unicode's normal form NFC", position)


def _check_separator(character: str, position: int) -> None:
    if character and (character.isalnum() or unicodedata.combining(character)):
        raise TemplateError(
            "{name} must be separated from other text by a character such as / or @",
            max(0, position),
        )


@dataclass(frozen=True, slots=True)
class IdSpace:
    """The avatar ids that one store of users can give.

    Args:
        store: what the store is called in messages.
        prefix: the text that they all begin with.
        suffix: the text that they all end with.
        templates: the templates that say so; empty if no template does.
    """

    store: str
    prefix: str = ""
    suffix: str = ""
    templates: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.templates:
            return f"{self.store} (without a template)"
        return f"{self.store} (as={' in '.join(self.templates)})"

    def within(self, template: AvatarIds) -> IdSpace:
        """Return the ids that a template makes of these.

        Raises:
            TemplateError: if the template would refuse all of them.
        """
        for separator in template.separators:
            if separator in self.prefix + self.suffix:
                raise TemplateError(
                    f"{template} would refuse all users of {self}: their names contain "
                    f"{separator!r}"
                )
        prefix = template.prefix + (self.prefix if template.middle is None else "")
        return replace(
            self,
            prefix=prefix,
            suffix=self.suffix + template.suffix,
            templates=(*self.templates, str(template)),
        )

    def is_apart_from(self, other: IdSpace) -> bool:
        """Return whether no avatar id can be in both."""
        one, two = (self.prefix, self.suffix), (other.prefix, other.suffix)
        return not (one[0].startswith(two[0]) or two[0].startswith(one[0])) or not (
            one[1].endswith(two[1]) or two[1].endswith(one[1])
        )


def require_apart(known: Sequence[Iterable[IdSpace]], new: Iterable[IdSpace]) -> None:
    """Check that a further store of users cannot give the avatar ids of others.

    Logs a warning if a template is missing: the stores may be meant to know the same people.

    Args:
        known: what each of the other stores can give.
        new: what the further one can give.

    Raises:
        AccountError: if two templates allow the same avatar id; the text names both.
    """
    number = len(known) + 1
    clashes = [
        (
            f"checker {place}, {one}",
            f"checker {number}, {two}",
            bool(one.templates and two.templates),
        )
        for two in new
        for place, spaces in enumerate(known, 1)
        for one in spaces
        if not one.is_apart_from(two)
    ]
    for one, two, refused in clashes:
        if refused:
            raise AccountError(
                f"the templates of {one}, and {two} allow the same avatar id for two people; use "
                "texts of which neither begins the other, such as corp/{name} and guest/{name}. If "
                "both know the same people, put them into first[same=yes,as=TEMPLATE]:(...)(...)"
            )
    if clashes:
        logger.warning(
            "%s, and %s can give the same avatar id to two people. If they know different people, "
            "give each a template, such as as=corp/{name}; if they know the same people, put them "
            "into first[same=yes]:(...)(...)",
            *clashes[0][:2],
        )
