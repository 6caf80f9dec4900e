"""The how-to about mapping does what it says."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mainstem.configuration.loading import load
from mainstem.connector_settings import mapping_settings
from schemas.errors import ValidationError
from sources.documents import read_documents
from sources.expressions import compiled
from sources.mapping import Mapper

PAGE = Path(__file__).parents[3] / "docs/how-to/map-fields.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "mainstem.yaml"
    file.write_text(blocks("yaml")[0], encoding="utf-8")
    return mapping_settings(load(file, environ={}).connectors[0])


def descriptor(tier="tier1"):
    text = blocks("yaml")[1].replace("acme.com/tier: tier1", f"acme.com/tier: {tier}")
    return {"entity": next(iter(read_documents("pay.yaml", text.encode()))).entity}


def test_the_descriptor_of_the_page_is_published_as_the_page_says(settings):
    assert json.loads(blocks("json")[0]) == Mapper(settings).map(descriptor())


def test_the_refusals_of_the_page_are_those_that_are_told(settings):
    with pytest.raises(ValidationError) as of_a_rule:
        Mapper(settings).map(descriptor(tier="gold"))
    with pytest.raises(ValidationError) as of_a_type:
        Mapper(replace(settings, rules=())).map(descriptor(tier="1"))
    assert blocks("") == [f"{of_a_rule.value}\n", f"{of_a_type.value}\n"]


def test_every_expression_in_the_table_is_one_or_is_refused_as_it_says():
    table = PAGE.read_text().partition("| write | for |")[2].partition("\n\n")[0]
    written = re.findall(r"^\| (`+)\s?(.+?)\s?\1 \|", table, re.MULTILINE)
    assert len([compiled(expression, place="here") for _, expression in written]) == 6
