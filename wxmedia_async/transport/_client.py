"""The httpx client that we make for those who have none of their own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar

import httpx

from ._own import OwnTransport
from ._proxies import proxies_of_environment
from ._shortcut import Shortcut, Shown


def own_client(
    verify: ssl.SSLContext | bool,
    *,
    always: Mapping[str, str],
    headers: Mapping[str, str],
    shown: Shown,
) -> tuple[httpx.AsyncClient, Shortcut]:
    """
    Make a client with a transport of our own, and a way past it.

    Args:
        verify: As for httpx.

        always: Headers of the client.

        headers: What each of our requests asks for beside them.

        shown: Of a request's URL, in the log.

    Raises:
        ValueError: A proxy or a path of certificates in the environment cannot
            be used. It names the variable.
    """
    transport = OwnTransport(verify=verify, proxies=proxies_of_environment())
    http = _class()(transport=transport, headers=always)
    http.cookies = {}
    return http, Shortcut(http, transport, headers, shown)


class _Cookies(httpx.Cookies):
    """Those that somebody sets: one client serves many accounts."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep none of a reply."""


_Settable = httpx.Cookies | CookieJar | dict[str, str] | list[tuple[str, str]]


def _class() -> type[httpx.AsyncClient]:
    """Extend httpx's class, whatever it is now: tracers put theirs in its place."""

    class Client(httpx.AsyncClient):
        """An `httpx.AsyncClient` that keeps no cookies of replies."""

        @property
        def cookies(self) -> httpx.Cookies:
            return self._cookies

        @cookies.setter
        def cookies(self, cookies: _Settable) -> None:
            self._cookies = _Cookies(cookies)

    return Client
