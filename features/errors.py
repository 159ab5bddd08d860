"""Every error the project raises on purpose, in one tree.

RihlaError
├── InputError                what a person or a program gave us is not usable
│   ├── InvalidId             an id that may not enter the log
│   ├── InvalidEvent          an event that may not enter the log
│   ├── InvalidCatalog        a catalog row that cannot be offered
│   ├── InvalidJourney        a journey definition that cannot be read
│   └── InvalidData           a file or directory that is not what the command expects
├── BundleError               a bundle that will not be loaded
│   ├── BundleCorrupt         its bytes are not what its manifest says
│   └── BundleIncompatible    it is whole, and made for another schema or format
├── ModelFromTheFuture        a model trained on events after the moment it is asked about
├── RegistryUnavailable       MLflow does not answer, or has no such model
└── StoreError
    ├── StoreUnavailable      Redis does not answer
    ├── StoreFull             Redis answers that it has no room
    └── StoreContended        a compare-and-set lost every try
"""

from __future__ import annotations

from typing import ClassVar


class RihlaError(Exception):
    """Root of the tree; ``code`` is stable and safe to show."""

    code: ClassVar[str] = "error"


class InputError(RihlaError):
    """What was given cannot be used; ``pointer`` is the JSON pointer of the field, "" for the whole."""

    code: ClassVar[str] = "invalid_input"

    def __init__(self, message: str, *, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class InvalidId(InputError):
    """An id that is empty, too long, not text, or a contact detail."""

    code: ClassVar[str] = "invalid_id"


class InvalidEvent(InputError):
    """An event with a field that is missing, unreadable or out of bounds."""

    code: ClassVar[str] = "invalid_event"


class InvalidCatalog(InputError):
    """A catalog row with a field that is missing, unreadable or out of bounds."""

    code: ClassVar[str] = "invalid_catalog"


class InvalidJourney(InputError):
    """A journey definition with a key or value that is not allowed."""

    code: ClassVar[str] = "invalid_journey"


class InvalidData(InputError):
    """A file or directory of another shape than the command expects."""

    code: ClassVar[str] = "invalid_data"


class BundleError(RihlaError):
    """A bundle that will not be loaded."""

    code: ClassVar[str] = "bundle_error"


class BundleCorrupt(BundleError):
    """The bytes on disk are not what the manifest says."""

    code: ClassVar[str] = "bundle_corrupt"


class BundleIncompatible(BundleError):
    """A whole bundle, made for another format or feature schema."""

    code: ClassVar[str] = "bundle_incompatible"


class ModelFromTheFuture(RihlaError):
    """The model has seen events after the moment it is asked to decide at."""

    code: ClassVar[str] = "model_from_the_future"


class RegistryUnavailable(RihlaError):
    """MLflow does not answer, or knows no such version or alias."""

    code: ClassVar[str] = "registry_unavailable"


class StoreError(RihlaError):
    """The online store could not do what was asked; ``reason`` says which of its faults it was, a closed set."""

    code: ClassVar[str] = "store_error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.code


class StoreUnavailable(StoreError):
    """Redis does not answer in time."""

    code: ClassVar[str] = "store_unavailable"


class StoreFull(StoreError):
    """Redis answers that it has no room for a write."""

    code: ClassVar[str] = "store_full"


class StoreContended(StoreError):
    """Every try of a compare-and-set found a newer version."""

    code: ClassVar[str] = "store_contended"
