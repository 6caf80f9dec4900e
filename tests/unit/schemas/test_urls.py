"""What a URL is, case by case as the WHATWG URL parser of Node.js decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.urls import is_url


@pytest.mark.parametrize(
    "text",
    [
        "https://docs.example.com/a/b?x=1#y",
        "https://localhost:3000",
        "http:example.com",
        "http:///x",
        "  https://a  ",
        "ht\ntps://a",
        "http://[::1]:80/",
        "http://1.2.3",
        "http://0x7f.1",
        "http://a..b",
        "http://user:p@a",
        "http://a@b@c",
        "http://%41",
        "http://a{b",
        "https://${{values.x}}/y",
        "https://ü.de",
        "http://xn--tda.de",
        "mailto:a@b.c",
        "slack://channel?team=x",
        "file:///x",
        "file:",
        "urn:x",
        "x:",
        "foo://",
    ],
)
def test_an_absolute_url_is_one(text):
    assert is_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "/a",
        "//a",
        "#",
        "1http://a",
        "http:",
        "http://",
        "http://?x",
        "https://a b",
        "https://${{ values.x }}/y",
        "http://user:p@",
        "http://a:99999",
        "http://a:80b",
        "http://[::x]",
        "http://[1:2:3:4:5:6:7:8:9]",
        "http://256.1.1.1",
        "http://1.2.3.4.5",
        "http://a.1",
        "http://09",
        "http://4294967296",
        "http://%20",
        "http://a%",
        "http://a|b",
        "http://\u00ad",
        "http://xn--",
        "http://xn--a",
        "foo://a b",
        "foo://:80",
        "foo://a:99999",
        "foo://[",
        "file://a b",
    ],
)
def test_anything_else_is_none(text):
    assert not is_url(text)


@given(st.text() | st.from_regex(r"[a-z]{1,5}:/{0,3}[a-z0-9.\[\]:@%x-]{0,20}"))
def test_no_text_makes_it_raise(text):
    assert is_url(text) in (True, False)
