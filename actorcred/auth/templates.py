"""The options `as` and `issuer_name` of all descriptors: a template of the users' avatar ids."""

from __future__ import annotations

from typing import Final

from actorcred.auth.descriptors import Descriptor
from actorcred.naming import AvatarIds, TemplateError, parse_avatar_ids

__all__ = ["TEMPLATE_HELP", "take_avatar_ids"]


TEMPLATE_HELP: Final = (
    "Each type also takes as=TEMPLATE, text around {name} that becomes the avatar id, such as "
    "as=corp/{name} or as={name}@corp.example, so that equal names in two stores are two users. "
    "Before {name} it can have {type}, {issuer} (which the checker states of the user, such as the "
    "issuer of a token) and {issuer_name}, which is given by issuer_name=NAME."
)


def take_avatar_ids(descriptor: Descriptor) -> AvatarIds | None:
    """Remove the options `as` and `issuer_name` from a descriptor, and return the template.

    Returns:
        The template; None if the descriptor has none.

    Raises:
        DescriptorError: if the template cannot be used; it points to the place.
    """
    argument = descriptor.argument
    template = argument.options.pop("as", None)
    issuer_name = argument.options.pop("issuer_name", None)
    if template is None:
        if issuer_name is not None:
            raise argument.option_error(
                "issuer_name", "issuer_name= is for templates, such as as={issuer_name}/{name}"
            )
        return None
    fields = {"type": descriptor.kind}
    if issuer_name is not None:
        fields["issuer_name"] = issuer_name
    try:
        return parse_avatar_ids(template, fields)
    except TemplateError as error:
        raise argument.option_error("as", f"as: {error}", error.position) from None
