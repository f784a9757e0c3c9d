"""A ref to an actor that is used by an interface, whose methods type checkers know."""

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

__all__ = ["InterfaceRef", "Interface_co"]


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class InterfaceRef(ActorRef[Any], Generic[Interface_co]):
    """A ref to an actor that implements an interface; the base class of `AvatarRef`."""

    __slots__ = ()

    @property
    def interface(self) -> type:
        """The interface."""
        raise NotImplementedError

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
        return self.ask(ProxyCall(attr_path=(name,), args=args, kwargs=kwargs), block=False)

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
            _check_stub(stub, self.interface)
        return super().proxy()

    if not TYPE_CHECKING:  # an attribute that does not exist is an error for type checkers

        def __getattr__(self, name: str) -> NoReturn:
            problem = f"{type(self).__name__!r} object has no attribute {name!r}"
            # Without a session, as in `copy.copy`, the interface is such an attribute as well.
            if not name.startswith("_") and name not in {"session", "interface"}:
                problem += _way_to_call(self.interface, name)
            raise AttributeError(problem, name=name, obj=self)


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
    if isinstance(name, str) and callable(method) and callable(getattr(interface, name, None)):
        return name
    raise TypeError(
        f"call() takes a method of {interface.__name__}, such as "
        f"avatar.call({interface.__name__}.{next(iter(_methods_of(interface)), 'METHOD')}, ...); "
        f"not {method!r}"
    )


def _check_stub(stub: Any, interface: type) -> None:
    if not isinstance(stub, type):
        raise TypeError(
            f"proxy() takes a class made by `actorcred stubs`, not a {type(stub).__name__}"
        )
    missing = sorted(set(_own_methods(stub)) - set(_methods_of(interface)))
    if missing:
        raise TypeError(
            f"{interface.__name__} has no {', '.join(missing)}, which the stub {stub.__name__} "
            f"has; make it for {interface.__name__}, with `actorcred stubs`"
        )


def _own_methods(stub: type) -> list[str]:
    return [name for name in vars(stub) if not name.startswith("_")]
