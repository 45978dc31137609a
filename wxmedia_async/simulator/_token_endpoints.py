"""The endpoints that give tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import attrs

from . import _replies
from ._replies import Answer
from ._requests import Caller
from ._tokens import OVERLAP, Tokens

MAX_JSON = 1024 * 1024
_GRANT = "client_credential"
_LONGEST = 256


@attrs.define(eq=False)
class TokenEndpoints:
    """
    Tokens for whoever knows the secret.

    Attributes:
        fetches: Calls that gave a token.
    """

    _tokens: Tokens
    _appid: str | None
    _secret: str | None = attrs.field(repr=False)
    _wecom: bool
    fetches: int = attrs.field(default=0, init=False)

    async def stable(self, caller: Caller) -> Answer:
        """Answer a call of ``stable_token``."""
        asked = parsed(await caller.body(MAX_JSON))
        code = self._refusal(asked, "appid", "secret")
        if code is not None:
            return _replies.failure(code, wecom=self._wecom)
        family = str(asked["appid"])
        if asked.get("force_refresh") is not True:
            return self._given(self._tokens.stable(family))
        if not self._tokens.may_force(family):
            return _replies.failure(45011, wecom=self._wecom)
        return self._given(self._tokens.fresh(family, keep_old=0.0))

    async def token(self, caller: Caller) -> Answer:
        """Answer a call of the old ``token``."""
        # Left out is let pass, for the sake of tests that are typed by hand.
        asked = {"grant_type": _GRANT, **caller.request.query}
        code = self._refusal(asked, "appid", "secret")
        if code is not None:
            return _replies.failure(code, wecom=self._wecom)
        # Its tokens and those of the stable one do not end each other.
        family = f"{asked['appid']} token"
        return self._given(self._tokens.fresh(family, keep_old=OVERLAP))

    async def corp_token(self, caller: Caller) -> Answer:
        """Answer a call of WeCom's ``gettoken``."""
        asked = {"grant_type": _GRANT, **caller.request.query}
        code = self._refusal(asked, "corpid", "corpsecret")
        if code is not None:
            return _replies.failure(code, wecom=self._wecom)
        family = f"{asked['corpid']} {asked['corpsecret']}"
        return self._given(self._tokens.stable(family))

    def _refusal(self, asked: Mapping[str, object], id: str, secret: str) -> int | None:
        if asked.get("grant_type") != _GRANT:
            return 40002
        if not asked.get(id):
            return 41002
        if not asked.get(secret):
            return 41004
        # Tokens are kept by them.
        if len(str(asked[id])) > _LONGEST or len(str(asked[secret])) > _LONGEST:
            return 40013
        if self._appid not in (None, asked[id]):
            return 40013
        if self._secret in (None, asked[secret]):
            return None
        return 40001 if self._wecom else 40125

    def _given(self, issued: tuple[str, int]) -> Answer:
        self.fetches += 1
        value = {"access_token": issued[0], "expires_in": issued[1]}
        return _replies.success(value, wecom=self._wecom)


def parsed(body: bytes) -> dict[str, Any]:
    """Read a JSON object; nothing else has anything in it."""
    try:
        value: object = json.loads(body)
    # A RecursionError is what too many brackets are.
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
