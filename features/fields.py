"""One JSON object read field by field; a field that cannot be used is named by its JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from features.errors import InvalidId
from features.ids import check_id
from features.moments import moment
from features.money import check_currency, decimal
from features.values import INT32_MAX, Unreadable, category, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from features.errors import InputError

Value = TypeVar("Value")


def pointer(*parts: str | int) -> str:
    """JSON pointer (RFC 6901) in plain ASCII; long names are cut, since a pointer may name a stranger's field."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join(f"/{name.encode('ascii', 'backslashreplace').decode()[:64]}" for name in escaped)


class Fields:
    """Typed access to the fields of one object.

    Parameters
    ----------
    record : mapping
        As decoded from JSON. A field that is null counts as absent.
    allowed : frozenset of str
        Every field that there may be.
    error : subclass of InputError
        Raised, with a pointer, for whatever cannot be used.
    at : tuple
        Where the object stands in the whole, as parts of a pointer.
    """

    __slots__ = ("_at", "_error", "_record")

    def __init__(
        self, record: object, allowed: frozenset[str], error: type[InputError], at: tuple[str | int, ...] = ()
    ) -> None:
        if not isinstance(record, Mapping):
            raise error(f"expected an object, got {type(record).__name__}", pointer=pointer(*at))
        self._record, self._error, self._at = record, error, at
        if not record.keys() <= allowed:
            raise self.wrong(min(map(str, record.keys() - allowed)), "expected no such field")

    def wrong(self, name: str, message: str) -> InputError:
        """The error to raise for a field."""
        return self._error(message, pointer=pointer(*self._at, name))

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._record.get(name) is not None

    def raw(self, name: str) -> Any:
        """The value as it came; None when absent."""
        return self._record.get(name)

    def id(self, name: str, *, allow_contact: bool = True) -> str | None:
        """An id, byte for byte; None when absent."""
        value = self._record.get(name)
        if value is None:
            return None
        try:
            return check_id(value, allow_contact=allow_contact)
        except InvalidId as error:
            raise InvalidId(str(error), pointer=pointer(*self._at, name)) from None

    def read(self, name: str, parse: Callable[[Any], Value]) -> Value | None:
        """``parse`` of the value, whose Unreadable is raised as this object's error; None when absent."""
        value = self._record.get(name)
        if value is None:
            return None
        try:
            return parse(value)
        except Unreadable as error:
            raise self.wrong(name, str(error)) from None

    def whole(self, name: str, low: int = 0, high: int = INT32_MAX) -> int | None:
        """A whole number within bounds; None when absent."""
        return self.read(name, lambda value: whole(value, low, high))

    def text(self, name: str, max_bytes: int) -> str | None:
        """Valid Unicode within a size; None when absent."""
        return self.read(name, lambda value: text(value, max_bytes))

    def category(self, name: str = "category") -> str | None:
        """A category path; None when absent."""
        return self.read(name, category)

    def currency(self, name: str = "currency") -> str | None:
        """An ISO 4217 code; None when absent."""
        return self.read(name, lambda value: check_currency(text(value, 16)))

    def decimal(self, name: str) -> Decimal | None:
        """An exact finite number; None when absent."""
        return self.read(name, decimal)

    def moment(self, name: str) -> int | None:
        """Microseconds since 1970 UTC; None when absent."""
        return self.read(name, moment)

    def flag(self, name: str) -> bool | None:
        """True or false; None when absent."""
        value = self._record.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, f"expected true or false, got {type(value).__name__}")
        return value
