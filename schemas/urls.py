"""Whether a text is a URL as browsers and Backstage understand it: the WHATWG URL standard, parsing only."""

import re
import unicodedata
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import unquote

_PLAIN: Final = re.compile(r"https?://[a-z0-9_.-]*\.[a-z]{2,}(?::[0-9]{1,4})?(?:[/?#].*)?", re.DOTALL)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_PORT: Final = re.compile(r"[0-9]*")
_IPV4_PART: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")

_WITH_HOST: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
_EDGES: Final = "".join(map(chr, range(0x21)))
_NOT_IN_HOST: Final = re.compile(r"[\x00\t\n\r #/:<>?@\[\\\]^|]")
_NOT_IN_DOMAIN: Final = re.compile(r"[\x00-\x20\x7f#%/:<>?@\[\\\]^|]")
_MAX_PORT: Final = 65_535
_MAX_IPV4_PARTS: Final = 4


def is_url(text: str) -> bool:
    """Return whether *text* is an absolute URL."""
    if _PLAIN.fullmatch(text) and "xn--" not in text:
        return True
    match = _SCHEME.fullmatch(text.strip(_EDGES).translate({9: None, 10: None, 13: None}))
    if match is None:
        return False
    scheme, rest = match[1].lower(), match[2]
    if scheme in _WITH_HOST:
        return _is_authority(re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0], is_domain=True)
    if scheme == "file":
        host = re.split(r"[/\\?#]", rest[2:], maxsplit=1)[0] if re.match(r"[/\\]{2}", rest) else ""
        return re.fullmatch(r"|[A-Za-z][:|]", host) is not None or _is_host(host, is_domain=True)
    authority = re.split(r"[/?#]", rest[2:], maxsplit=1)[0] if rest.startswith("//") else ""
    return not authority or _is_authority(authority, is_domain=False)


def _is_authority(authority: str, *, is_domain: bool) -> bool:
    host_and_port = authority.rpartition("@")[2]
    host, port = host_and_port, ""
    colon = host_and_port.rfind(":")
    if colon > host_and_port.rfind("]"):
        host, port = host_and_port[:colon], host_and_port[colon + 1 :]
    return bool(host) and _is_port(port) and _is_host(host, is_domain=is_domain)


def _is_port(port: str) -> bool:
    if not _PORT.fullmatch(port):
        return False
    digits = port.lstrip("0")
    return len(digits) <= len(str(_MAX_PORT)) and int(digits or 0) <= _MAX_PORT


def _is_host(host: str, *, is_domain: bool) -> bool:
    if host.startswith("["):
        return host.endswith("]") and _is_ipv6(host[1:-1])
    return _is_domain(host) if is_domain else _NOT_IN_HOST.search(host) is None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text


def _is_domain(host: str) -> bool:
    folded = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").replace("\u00ad", "").lower()
    if not folded or _NOT_IN_DOMAIN.search(folded) or "\ufffd" in folded:
        return False
    labels = folded.split(".")
    if not all(_is_punycode(label[4:]) for label in labels if label.startswith("xn--")):
        return False
    parts = labels[:-1] if not labels[-1] and len(labels) > 1 else labels
    return not _IPV4_PART.fullmatch(parts[-1]) or _is_ipv4(parts)


def _is_punycode(label: str) -> bool:
    try:
        decoded = label.encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return False
    return decoded.isprintable() and not decoded.isascii()


def _is_ipv4(parts: list[str]) -> bool:
    if len(parts) > _MAX_IPV4_PARTS or not all(_IPV4_PART.fullmatch(part) for part in parts):
        return False
    try:
        numbers = [_ipv4_number(part) for part in parts]
    except ValueError:
        return False
    return all(number < 256 for number in numbers[:-1]) and numbers[-1] < 256 ** (5 - len(parts))  # noqa: PLR2004


def _ipv4_number(part: str) -> int:
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") else int(part)
