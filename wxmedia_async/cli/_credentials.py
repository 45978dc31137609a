"""Where the command line has its credentials from."""

from __future__ import annotations

from collections.abc import Mapping

from .. import AppToken, CorpToken, Platform, StaticToken, TokenStore

APPID = "WXMEDIA_APPID"
SECRET = "WXMEDIA_SECRET"
TOKEN = "WXMEDIA_TOKEN"


def token_from(
    environment: Mapping[str, str],
    platform: Platform,
    store: TokenStore | None = None,
) -> StaticToken | AppToken | CorpToken:
    """
    Return the token of the environment; a secret never is an argument.

    Whoever lists the processes of a machine sees the arguments of all.

    Args:
        store: Shares a token that is fetched among processes.

    Raises:
        ValueError: It holds neither a token nor an id with its secret.
    """
    if token := environment.get(TOKEN):
        return StaticToken(token)
    appid, secret = environment.get(APPID), environment.get(SECRET)
    if not appid or not secret:
        missing = " and ".join(
            name for name, value in ((APPID, appid), (SECRET, secret)) if not value
        )
        raise ValueError(f"no credentials: set {missing}, or {TOKEN}")
    if platform.wecom:
        return CorpToken(appid, secret, store=store)
    return AppToken(appid, secret, store=store)


def account_from(environment: Mapping[str, str]) -> str | None:
    """
    Return whose media_ids a cache is to keep, where the token does not tell.

    Raises:
        ValueError: The environment does not tell it either.
    """
    if not environment.get(TOKEN):
        return None
    if account := environment.get(APPID):
        return account
    raise ValueError(f"a cache needs to know the account: set {APPID} beside {TOKEN}")
