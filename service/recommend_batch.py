"""Slates for up to a thousand subjects, a line each, beside live traffic without hurting it.

States are read a chunk at a time over shared round trips; between two slates whoever waits for an answer
comes first, so a live request is held up by about one decision.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from service.answers import encode
from service.models import Subject
from service.problems import InvalidRequest, flaws_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service.models import BatchAsk
    from service.recommend import Decided, Recommend

CHUNK: Final = 32


class Numbered(NamedTuple):
    """A subject and its place in the request; ``subject`` None where it cannot be read, and why."""

    place: int
    subject: Subject | None
    flaw: dict[str, Any] | None


async def recommend_batch(recommend: Recommend, ask: BatchAsk) -> AsyncIterator[bytes]:
    """NDJSON, a line a subject in the order given: ``{index, status, …}`` with the slate or the error."""
    subjects = [_numbered(index, raw) for index, raw in enumerate(ask.subjects)]
    for start in range(0, len(subjects), CHUNK):
        async for line in _chunk(recommend, ask, subjects[start : start + CHUNK]):
            yield line


async def _chunk(recommend: Recommend, ask: BatchAsk, subjects: Sequence[Numbered]) -> AsyncIterator[bytes]:
    readable = [each.subject for each in subjects if each.subject is not None]
    given = iter(await asyncio.gather(*(recommend.given(subject.id, ask) for subject in readable)))
    decided: list[Decided] = []
    lines: list[bytes] = []
    for each in subjects:
        if each.subject is None:
            lines.append(_line(each, 422, each.flaw or {}))
            continue
        decided.append(recommend.decide(each.subject.id, ask, next(given)))
        lines.append(_line(each, 200, decided[-1].answer))
        await recommend.live.let_pass()
    if not ask.dry_run:
        await asyncio.gather(*map(recommend.leave_record, decided))
    for line in lines:
        yield line


def _numbered(index: int, raw: dict[str, Any]) -> Numbered:
    try:
        return Numbered(index, Subject.model_validate(raw), None)
    except ValidationError as error:
        flaws = flaws_of(error.errors(include_url=False, include_context=False, include_input=False))
        errors = [flaw._replace(pointer=f"/subjects/{index}{flaw.pointer}")._asdict() for flaw in flaws]
        return Numbered(index, None, {"code": InvalidRequest.code, "errors": errors})


def _line(numbered: Numbered, status: int, facts: dict[str, Any]) -> bytes:
    subject = numbered.subject
    named = {} if subject is None else {"subject": subject.model_dump(exclude_none=True)}
    return encode({"index": numbered.place, "status": status, **named, **facts}) + b"\n"
