"""
Text without secrets.

WeChat's token is a query parameter, so whatever prints a URL prints the secret;
gateways and login pages print URLs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote

EXCERPT = 200
"""The most characters of a body that an error shows."""

_WINDOW = 8192
_LEAST_HALF = 4
_MASK = "***"

# Whatever ends like a name that we know: cloudbase_access_token, appsecret ...
# In text that was itself quoted, quotes are \", &quot; or %22, = is %3D, & is %26.
_QUOTE = r"""(?:\\*["']|&quot;|&\#34;|&\#39;|%22)"""
_NAMED = re.compile(
    rf"""
    ((?:access_?token|secret|vkey) {_QUOTE}? \s* (?:[:=]|%3D|%3A) \s*)
    (?:
        " (?:[^"\\]|\\.)* "?
        | ({_QUOTE}?) (?:(?!%26|%22) [^\s&"'<>\\])+
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_USERINFO = re.compile(r"""//[^/\s?#"'<>]*@""")


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """
    Replace every secret in *text* by ``***``.

    Args:
        text: Anything that may quote a URL, a form or a JSON document.

        secrets: What to look for, as it is or percent-encoded. The values of
            parameters that are known to be secret, and user info in URLs,
            are found without.
    """
    for form in _forms(secrets):
        text = text.replace(form, _MASK)
    return _USERINFO.sub(f"//{_MASK}@", _NAMED.sub(_masked, text))


def excerpt(body: bytes, secrets: Collection[str] = ()) -> str:
    """
    Show the beginning of a body: one line, at most 200 characters, redacted.

    A secret that is cut off by the end of *body* is replaced as well.
    """
    # Cut last: half a secret is one that no search finds.
    text = _one_line(body[:_WINDOW].decode(errors="replace"))
    return _without_half(redacted(text, secrets), secrets)[:EXCERPT]


def _forms(secrets: Collection[str]) -> list[str]:
    forms = {form for secret in secrets if secret for form in _spellings(secret)}
    # The longest first: a secret may be part of another.
    return sorted(forms, key=len, reverse=True)


def _spellings(secret: str) -> tuple[str, str, str]:
    encoded = quote(secret, safe="")
    lower = re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), encoded)
    return secret, encoded, lower


def _masked(match: re.Match[str]) -> str:
    if match[2] is None:
        return f'{match[1]}"{_MASK}"'
    return f"{match[1]}{match[2]}{_MASK}"


def _one_line(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())


def _without_half(text: str, secrets: Collection[str]) -> str:
    for form in _forms(secrets):
        for size in range(len(form), _LEAST_HALF - 1, -1):
            if text.endswith(form[:size]):
                return text[:-size] + _MASK
    return text
