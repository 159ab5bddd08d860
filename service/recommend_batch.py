"""Slates for up to a thousand subjects, a line each, beside live traffic without hurting it.

A chunk's customers are read and reserved over shared round trips, their slates decided one at a time; between two of
them whoever waits for an answer comes first. The lines of one subject follow each other, so that the later ones know
what the earlier ones show.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from service.answers import encode
from service.ask import Batch
from service.models import BatchSubject
from service.problems import DecisionKeyConflict, InvalidRequest, flaws_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service.models import BatchAsk
    from service.recommend import Recommend

CHUNK: Final = 32


class Numbered(NamedTuple):
    """A subject and its place in the request; ``subject`` None where it cannot be read, and why."""

    place: int
    subject: BatchSubject | None
    flaw: dict[str, Any] | None


async def recommend_batch(recommend: Recommend, ask: BatchAsk) -> AsyncIterator[bytes]:
    """NDJSON, a line a subject in the order given: ``{index, status, …}`` with the slate or the error."""
    subjects = [_numbered(index, raw) for index, raw in enumerate(ask.subjects)]
    batch = Batch.of(is_distinct=ask.distinct_across)
    for start in range(0, len(subjects), CHUNK):
        for line in await _chunk(recommend, ask, batch, subjects[start : start + CHUNK]):
            yield line


async def _chunk(recommend: Recommend, ask: BatchAsk, batch: Batch, subjects: Sequence[Numbered]) -> list[bytes]:
    by_subject: dict[str, list[Numbered]] = defaultdict(list)
    lines = {}
    for each in subjects:
        if each.subject is None:
            lines[each.place] = _line(each, 422, each.flaw or {})
        else:
            by_subject[each.subject.id].append(each)
    for own in await asyncio.gather(*(_of_subject(recommend, ask, batch, group) for group in by_subject.values())):
        lines |= own
    return [lines[each.place] for each in subjects]


async def _of_subject(
    recommend: Recommend, ask: BatchAsk, batch: Batch, subjects: Sequence[Numbered]
) -> dict[int, bytes]:
    lines = {}
    for each in subjects:
        if each.subject is None:
            continue
        options = ask.model_copy(update=each.subject.own) if each.subject.own else ask
        try:
            offered = await recommend.offer(each.subject.id, options, batch=batch)
            lines[each.place] = _line(each, 200, offered.answer)
        except DecisionKeyConflict as error:
            lines[each.place] = _line(each, 409, {"code": error.code, "detail": str(error)})
    return lines


def _numbered(index: int, raw: dict[str, Any]) -> Numbered:
    try:
        return Numbered(index, BatchSubject.model_validate(raw), None)
    except ValidationError as error:
        flaws = flaws_of(error.errors(include_url=False, include_context=False, include_input=False))
        errors = [flaw._replace(pointer=f"/subjects/{index}{flaw.pointer}")._asdict() for flaw in flaws]
        return Numbered(index, None, {"code": InvalidRequest.code, "errors": errors})


def _line(numbered: Numbered, status: int, facts: dict[str, Any]) -> bytes:
    subject = numbered.subject
    named = {} if subject is None else {"subject": subject.model_dump(exclude_none=True)}
    return encode({"index": numbered.place, "status": status, **named, **facts}) + b"\n"
