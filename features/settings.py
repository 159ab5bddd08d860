"""One frozen settings object, read once at the entry and passed on as small typed parts.

Every setting has the prefix ``RIHLA_`` in the environment; secrets may come as files of ``RIHLA_SECRETS_DIR``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.consent import Defaults
from features.errors import InputError
from features.kept_secret import kept_secret

PEPPER_BYTES = 32


class Settings(BaseSettings):
    """All settings, with their bounds; a field's description is its line in the README."""

    model_config = SettingsConfigDict(env_prefix="RIHLA_", frozen=True, extra="ignore")

    home: Annotated[
        Path, Field(description="Where everything is kept: data, bundles, the registry, the embedded store.")
    ] = Path("var")
    journey: Annotated[
        Path | None,
        Field(
            description="A shop's own journey definition (TOML), laid over the default one: the stages, and what a "
            "slate is made of in each."
        ),
    ] = None
    model_name: Annotated[
        str, Field(pattern=r"^[a-z0-9-]{1,64}$", description="Name of the model in the registry.")
    ] = "rihla"
    model_alias: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$", description="Alias that the service follows.")] = (
        "champion"
    )
    signing_key: Annotated[
        SecretStr | None, Field(description="Ed25519 private key (hex) with which training signs bundles.")
    ] = None
    verify_key: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$", description="Ed25519 public key (hex); with it, unsigned bundles are refused."
        ),
    ] = None
    redis_url: Annotated[str | None, Field(description="Redis or Valkey to use; empty starts the embedded one.")] = None
    pepper: Annotated[
        SecretStr | None,
        Field(
            min_length=16,
            description="Key that hides customer ids in the store; empty makes one and keeps it in the home.",
        ),
    ] = None
    host: Annotated[str, Field(description="Address the service listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port the service listens on.")] = 8080
    workers: Annotated[int, Field(ge=1, le=64, description="Worker processes that answer requests.")] = 2
    follow_every_s: Annotated[
        float, Field(ge=0.1, le=60, description="How often the registry's alias is looked up, seconds.")
    ] = 2.0
    drain_every_s: Annotated[
        float, Field(ge=0.05, le=3600, description="How often new events are written to the log, seconds.")
    ] = 2.0
    state_ttl_days: Annotated[
        int, Field(ge=1, le=3650, description="A customer's state is kept this long after the last event, days.")
    ] = 400
    keep_events_days: Annotated[
        int, Field(ge=2, le=3650, description="Events stay in the log this long, then only as one state a customer.")
    ] = 400
    keep_decisions_days: Annotated[
        int, Field(ge=2, le=3650, description="Decision records stay in the log this long.")
    ] = 180
    clean_every_s: Annotated[
        float,
        Field(ge=0.1, le=86_400, description="How often the log is looked after: erasure, merging, what is too old."),
    ] = 60.0
    slate_ttl_s: Annotated[
        int, Field(ge=10, le=604_800, description="How long a slate may be shown (expires_at), seconds.")
    ] = 1800
    fallback_slate: Annotated[
        Path | None,
        Field(description="Items (JSON) to show while no bundle was ever opened; empty takes the last popular ones."),
    ] = None
    caps: Annotated[
        str,
        Field(
            max_length=1000,
            description="How often something may be shown: `item[.CHANNEL]`, `kind.KIND` or `channel.CHANNEL` "
            "`=N/WINDOW`, separated by commas; a window is like `30m`, `12h`, `7d`.",
        ),
    ] = "item=10/7d, item.email=2/7d, kind.action=24/1d, channel.email=60/1d"
    default_consent_personalisation: Annotated[
        bool, Field(description="Use what is known of a customer who has not said whether they agree to it.")
    ] = True
    default_consent_email: Annotated[
        bool, Field(description="Offer slates for e-mail to a customer who has not said whether they want any.")
    ] = True
    default_consent_sms: Annotated[
        bool, Field(description="What is told of a customer who has not said whether they want text messages.")
    ] = True
    default_consent_push: Annotated[
        bool, Field(description="What is told of a customer who has not said whether they want push messages.")
    ] = True
    allow_contact_ids: Annotated[
        bool, Field(description="Accept customer ids that look like e-mail addresses or phone numbers.")
    ] = False
    log_level: Annotated[
        str, Field(pattern=r"^(debug|info|warning|error)$", description="Least severe log line that is written.")
    ] = "info"

    @property
    def tombstone_days(self) -> int:
        """How long the time of an erasure is remembered online: longer than state and log, whatever comes late."""
        return max(self.keep_events_days, self.state_ttl_days * 11 // 10) + 2


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with ``overrides`` on top.

    Raises
    ------
    InputError
        A value out of bounds; the message names the variable.
    """
    try:
        directory = os.environ.get("RIHLA_SECRETS_DIR")
        return Settings(_secrets_dir=directory, **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"RIHLA_{str(first['loc'][0]).upper()}"
        raise InputError(f"{name}: {first['msg']}", pointer=f"/{first['loc'][0]}") from None


def consent_defaults(settings: Settings) -> Defaults:
    """What holds for a customer who has not said."""
    return Defaults(*(getattr(settings, f"default_consent_{purpose}") for purpose in Defaults._fields))


def pepper_of(settings: Settings) -> bytes:
    """The key of ``customer_key``: the configured one, or one made once and kept in the home (mode 0600)."""
    if settings.pepper is not None:
        return settings.pepper.get_secret_value().encode()[:64]
    return kept_secret(settings.home / "pepper", PEPPER_BYTES)
