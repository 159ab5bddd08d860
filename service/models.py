"""What callers may send. Unknown fields, wrong types and numbers that are not finite are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from features.catalog import KINDS
from features.catalog import locale as check_locale
from features.consent import PURPOSES
from features.errors import InvalidId
from features.events import Channel
from features.ids import check_id
from features.ingest import anonymous
from features.values import Unreadable

MAX_LIMIT = 100
MAX_SUBJECTS = 1_000
MAX_EVENTS = 500
MAX_ITEMS = 500
MAX_PAGE = 1_000
"""How many ids a list of a request may hold."""

Kind = Literal["product", "content", "action"]
Explain = Annotated[
    Literal["none", "short", "full"],
    Field(description="Reasons of an item: none, the three that speak most for it and the rest, or all."),
]


def _id(text: str) -> str:
    try:
        return check_id(text)
    except InvalidId as error:
        raise PydanticCustomError("invalid_id", "{why}", {"why": str(error)}) from None


def _locale(text: str) -> str:
    try:
        return check_locale(text)
    except Unreadable as error:
        raise PydanticCustomError("invalid_locale", "{why}", {"why": str(error)}) from None


def _listed(value: object) -> object:
    """A query parameter that came once as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _split(value: object) -> object:
    """Comma-separated text of a query parameter as a list."""
    texts = value if isinstance(value, list) else [value]
    return [part for text in texts for part in (text.split(",") if isinstance(text, str) else [text])]


Id = Annotated[str, AfterValidator(_id)]
Ids = Annotated[tuple[Id, ...], Field(max_length=MAX_ITEMS)]
Locale = Annotated[str, AfterValidator(_locale)]
Placement = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$", examples=["home"])]
Kinds = Annotated[tuple[Kind, ...], Field(min_length=1, max_length=3, examples=[["product", "content"]])]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
DecisionKey = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,128}$",
        examples=["spring-sale.2025-04-01"],
        description="The same subject and key get the same slate for 7 days, which counts as shown once.",
    ),
]


class Strict(BaseModel):
    """Base of every request: nothing unknown, nothing converted, nothing infinite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)


class Subject(Strict):
    """Who the slate is for: a known customer or an anonymous visitor."""

    customer_id: Annotated[Id | None, Field(examples=["c-1017"])] = None
    anonymous_id: Annotated[Id | None, Field(examples=["anon:9f2c"])] = None
    session_id: Id | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Subject:
        if (self.customer_id is None) == (self.anonymous_id is None):
            raise PydanticCustomError("one_subject", "expected customer_id or anonymous_id, and not both")
        return self

    @property
    def id(self) -> str:
        """The id under which the customer is known."""
        return self.customer_id if self.customer_id is not None else anonymous(self.anonymous_id or "")


class Context(Strict):
    """What the caller knows of the moment."""

    locale: Annotated[Locale | None, Field(examples=["tr-TR"])] = None
    device: Annotated[str | None, Field(max_length=64)] = None
    cart: Ids = ()
    text: Annotated[str | None, Field(max_length=512, description="Words the customer is searching for.")] = None


class Filter(Strict):
    """What the slate is limited to."""

    categories: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=50)] = ()
    unseen_only: bool = False


class SlateOptions(Strict):
    """Where a slate is shown and what may be on it."""

    placement: Placement = "home"
    channel: Channel = Channel.WEB
    limit: Limit = 8
    kinds: Kinds = KINDS
    anchor_items: Annotated[Ids, Field(description="Items the page is about, most important first.")] = ()
    candidates: Annotated[Ids | None, Field(description="The only items that may be shown.")] = None
    context: Context = Context()
    filter: Filter = Filter()
    exclude_ids: Ids = ()
    explain: Explain = "short"
    decision_key: DecisionKey = None
    dry_run: Annotated[bool, Field(description="Decide, reserve nothing and leave no decision record.")] = False


class SlateAsk(SlateOptions):
    """One slate."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"subject": {"customer_id": "c-1017"}, "placement": "home", "limit": 4},
                {
                    "subject": {"anonymous_id": "anon:9f2c"},
                    "placement": "product",
                    "anchor_items": ["sku-12"],
                    "context": {"locale": "ar", "cart": ["sku-7"]},
                    "explain": "full",
                },
            ]
        }
    )
    subject: Subject


class BatchSubject(Subject):
    """A subject of a batch; what is said here stands for this line instead of what the batch says."""

    placement: Placement | None = None
    limit: Limit | None = None
    decision_key: DecisionKey = None

    @property
    def own(self) -> dict[str, Any]:
        """The options of this line alone."""
        return self.model_dump(include={"placement", "limit", "decision_key"}, exclude_none=True)


class BatchAsk(SlateOptions):
    """Slates for many subjects with the same options; a subject that cannot be read gets a line that says so."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subjects": [{"customer_id": "c-1"}, {"customer_id": "c-2"}],
                    "placement": "email",
                    "channel": "email",
                    "decision_key": "spring-sale.2025-04-01",
                },
                {
                    "subjects": [
                        {"customer_id": "c-1", "placement": "email.top", "limit": 3, "decision_key": "spring.top"},
                        {"customer_id": "c-1", "placement": "email.more", "limit": 6, "decision_key": "spring.more"},
                    ],
                    "channel": "email",
                    "distinct_across": True,
                },
            ]
        }
    )
    subjects: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_SUBJECTS)]
    distinct_across: Annotated[
        bool, Field(description="No item twice on the slates of one customer; the lines before come first.")
    ] = False


class SlateQuery(BaseModel):
    """The simple case, as query parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    placement: Placement = "home"
    channel: Channel = Channel.WEB
    limit: Limit = 8
    kinds: Annotated[Kinds, BeforeValidator(_split), Field(description="Comma-separated.")] = KINDS
    anchor: Annotated[Ids, BeforeValidator(_listed), Field(description="Item the page is about; may be repeated.")] = ()
    locale: Locale | None = None
    explain: Explain = "short"
    decision_key: DecisionKey = None

    def options(self) -> SlateOptions:
        """The same as the body of a request would say it."""
        return SlateOptions(
            placement=self.placement,
            channel=self.channel,
            limit=self.limit,
            kinds=self.kinds,
            anchor_items=self.anchor,
            context=Context(locale=self.locale),
            explain=self.explain,
            decision_key=self.decision_key,
        )


class Told(Strict):
    """Something told of a customer; it becomes an event."""

    event_id: Annotated[Id | None, Field(description="Makes a repeat harmless; made up where it is missing.")] = None
    occurred_at: Annotated[
        str | int | float | None, Field(description="RFC 3339 with a zone, or a Unix time; now where it is missing.")
    ] = None


class ConsentAsk(Told):
    """What a customer agrees to (true) or withdraws from (false); a purpose that is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"personalisation": False}, {"email": True}]})

    personalisation: bool | None = None
    email: bool | None = None
    sms: bool | None = None
    push: bool | None = None

    @model_validator(mode="after")
    def _has_any(self) -> ConsentAsk:
        if all(getattr(self, purpose) is None for purpose in PURPOSES):
            raise PydanticCustomError("no_purpose", "expected {names}", {"names": " or ".join(PURPOSES)})
        return self


class LinkAsk(Told):
    """Two identities: a customer, and a visitor or another customer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "c-1017", "anonymous_id": "anon:9f2c", "event_id": "login-77"}]}
    )

    customer_id: Id
    anonymous_id: Id | None = None
    other_customer_id: Id | None = None

    @model_validator(mode="after")
    def _has_one(self) -> LinkAsk:
        if (self.other_customer_id is None) == (self.anonymous_id is None):
            raise PydanticCustomError("one_other", "expected anonymous_id or other_customer_id, and not both")
        return self


class RelatedQuery(BaseModel):
    """How many related items, and of which kinds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Limit = 8
    kinds: Annotated[Kinds, BeforeValidator(_split), Field(description="Comma-separated.")] = KINDS


class PageQuery(BaseModel):
    """Which page of a list: its length, and what the page before said of where it ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100
    cursor: Annotated[str | None, Field(max_length=8_192, description="next_cursor of the page before.")] = None


class AudienceQuery(PageQuery):
    """A page of customers."""


class ChangesQuery(PageQuery):
    """A page of stage changes; without a cursor from the oldest that is kept."""
