"""Refs to actors that implement an interface, whose methods type checkers know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, overload

import pykka
from pykka.messages import ProxyCall

from actorcred.actors import ActorRef, Future

if TYPE_CHECKING:
    # Type checkers know defaults of type variables in any version, Python from 3.13 on.
    from typing_extensions import TypeVar

    Interface_co = TypeVar("Interface_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    Interface_co = TypeVar("Interface_co", covariant=True)

__all__ = ["InterfaceCalls", "InterfaceRef", "Interface_co", "check_stub"]


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


_BEFORE_INTERFACE = frozenset({"session", "actor_class", "interface"})
"""Attributes without which the interface is not known."""


class InterfaceCalls(Generic[Interface_co]):
    """What a ref to an actor that implements an interface can do, wherever that is."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def interface(self) -> type:
            """The interface; `object` if it is not known."""

        def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
            """Ask the actor; see `ActorRef.ask`."""

    @overload
    def call(
        self,
        method: Callable[Concatenate[Interface_co, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[R]: ...
    @overload
    def call(
        self,
        method: Callable[Concatenate[Interface_co, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[R]: ...
    def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a method of the interface: `avatar.call(Player.move, 1.0)`.

        Type checkers check the arguments, and know the type of the result. The actor's own method
        of the same name runs, so an override does.

        Args:
            method: the method, as a function of the interface's class.
            args: its arguments.
            kwargs: its keyword arguments.

        Returns:
            A future of the result, as of `ask`.

        Raises:
            TypeError: if the interface has no such method.
        """
        name = _name_of(method, self.interface)
        message = ProxyCall(attr_path=(name,), args=args, kwargs=kwargs)
        answer: Future[Any] = self.ask(message, block=False)
        return answer

    if not TYPE_CHECKING:  # an attribute that does not exist is an error for type checkers

        def __getattr__(self, name: str) -> NoReturn:
            problem = f"{type(self).__name__!r} object has no attribute {name!r}"
            # A ref that `copy.copy` makes has none at first.
            if not name.startswith("_") and name not in _BEFORE_INTERFACE:
                problem += _way_to_call(self.interface, name)
            raise AttributeError(problem, name=name, obj=self)


class InterfaceRef(ActorRef[Any], InterfaceCalls[Interface_co]):
    """A ref to an actor that implements an interface; the base class of `AvatarRef`."""

    __slots__ = ()

    @overload
    def proxy(self) -> pykka.ActorProxy[Any]: ...
    @overload
    def proxy(self, stub: Callable[..., S]) -> S: ...
    def proxy(self, stub: Callable[..., Any] | None = None) -> Any:
        """Return a proxy, whose methods return futures; see `pykka.ActorProxy`.

        Args:
            stub: a class made by `actorcred stubs` for this interface. It is the type of the proxy
                for type checkers; at run time the proxy is the same.

        Raises:
            TypeError: if the stub is not a class, or has a method that the interface does not have.
        """
        if stub is not None:
            check_stub(stub, self.interface)
        return super().proxy()


def _way_to_call(interface: type, name: str) -> str:
    """Return how to call a method of an actor; "" if there is none of this name."""
    if name not in _methods_of(interface):
        return ""
    return (
        "; an actor is called by a message: "
        f"avatar.call({interface.__name__}.{name}, ...), or avatar.proxy().{name}(...)"
    )


def _methods_of(interface: type) -> list[str]:
    return [
        name
        for name in dir(interface)
        if not name.startswith("_") and callable(getattr(interface, name, None))
    ]


def _name_of(method: Any, interface: type) -> str:
    """Return the name of a method, which the interface must have.

    Raises:
        TypeError: if it has not.
    """
    name = getattr(method, "__name__", None)
    if (
        isinstance(name, str)
        and callable(method)
        and (interface is object or callable(getattr(interface, name, None)))
    ):
        return name
    raise TypeError(
        f"call() takes a method of {interface.__name__}, such as "
        f"avatar.call({interface.__name__}.{next(iter(_methods_of(interface)), 'METHOD')}, ...); "
        f"not {method!r}"
    )


def check_stub(stub: object, interface: type) -> None:
    """Check that a stub fits an interface.

    Raises:
        TypeError: if it is not a class, or has a method that the interface does not have.
    """
    if not isinstance(stub, type):
        raise TypeError(
            f"proxy() takes a class made by `actorcred stubs`, not a {type(stub).__name__}"
        )
    missing = sorted(set(_own_methods(stub)) - set(_methods_of(interface)))
    if missing and interface is not object:
        raise TypeError(
            f"{interface.__name__} has no {', '.join(missing)}, which the stub {stub.__name__} "
            f"has; make it for {interface.__name__}, with `actorcred stubs`"
        )


def _own_methods(stub: type) -> list[str]:
    return [name for name in vars(stub) if not name.startswith("_")]
