"""What the README and the documents say about files, commands, configuration and changes holds."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs import api, metrics
from mainstem.config import DEFAULT_SINKS, Config
from mainstem.installation import Installation
from schemas.changes import Change, Control, Origin, read_change
from sources.documents import read_documents
from sources.publisher import draft
from tests.command_line import read_arguments

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ROOMS = ("mainstem", "schemas", "sources", "streams", "sinks", "deploy", "docs", "tests")
ORIGIN = Origin(connector="team-pay", tenant="default", is_complete=False, timestamp=0, id="t/0/0")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?:{'|'.join(ROOMS)})(?:/[\w.-]+)+/?|[A-Z]\w+\.md|docker-compose\.yml")
WORDS_BEFORE = re.compile(r"^(?:\$ |[A-Z_]+=\S+ |uv run )*")


def blocks(*languages):
    """Return (page, text) of every fenced block in one of *languages*."""
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(FENCE.findall(page.read_text()))
        if language in languages
    ]


def prose(page):
    return FENCE.sub("", page.read_text())


def written_commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `mainstem …` in shell lines: each part of a pipe stands for itself."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||&&|;", line):
            command = WORDS_BEFORE.sub("", part.strip())
            if command.startswith("mainstem "):
                yield shlex.split(command, comments=True)[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]

    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []
    assert [link for link in links if "#" in link and not leads_to_a_heading(page, link)] == []


def leads_to_a_heading(page, link):
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page):
    named = {text for text in INLINE.findall(prose(page)) if PATH.fullmatch(text)}

    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_test_that_is_named_exists():
    existing = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = {name for page in PAGES for name in INLINE.findall(page.read_text()) if re.fullmatch(r"test_\w+", name)}

    assert named - existing == set()
    assert len(named) > 20


def test_every_target_of_make_that_is_named_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)}

    assert named - targets == set()
    assert {"demo", "test"} <= named


@pytest.mark.parametrize("text", blocks("bash", "console"))
def test_every_command_in_a_block_is_one(text):
    for arguments in written_commands(text):
        read_arguments(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_sentence_is_one(page):
    for text in INLINE.findall(prose(page)):
        for arguments in written_commands(text):
            read_arguments(arguments)


def test_commands_are_found_at_all():
    lines = (
        "$ A_B=1 mainstem up --ready-file x\ncat x | uv run mainstem publish --connector a - && mainstem db check # !"
    )

    assert [found[0] for found in written_commands(lines)] == ["up", "publish", "db"]
    assert len([each for page in PAGES for each in written_commands(page.read_text())]) > 15


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_yaml_example_can_be_used(text, tmp_path, monkeypatch):
    name = text.partition("\n")[0].removeprefix("# ")
    file = tmp_path / Path(name).name
    file.write_text(text)
    if file.name != "mainstem.yaml":
        documents = list(read_documents(name, file.read_bytes()))
        assert [draft(as_change(each.entity), "git", is_complete="entity" not in each.entity) for each in documents]
        return
    for place in re.findall(r"_location: ([\w.-]+)", text):
        (tmp_path / place).touch()
    for variable in ("KAFKA", "DATABASE_URL", "API_TOKEN", "BACKSTAGE_TOKEN", "KAFKA_PASSWORD", "KEY_PASSWORD"):
        monkeypatch.setenv(variable, "localhost:9092")
    monkeypatch.setenv("LOCATION_SECRET", "0123456789abcdef" * 4)

    Installation.open(file, tmp_path).check_plugins()


def as_change(document):
    return document if "entity" in document else {"entity": document}


@pytest.mark.parametrize("text", blocks("json"))
def test_every_json_example_is_a_change(text):
    assert isinstance(read_change(json.loads(text), ORIGIN), Change | Control)


@pytest.mark.parametrize("text", blocks("python"))
def test_every_python_example_is_python_and_what_it_publishes_is_a_change(text):
    texts = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]

    changes = [read_change(json.loads(each), ORIGIN) for each in texts if str(each).startswith("{")]

    assert [type(each) for each in changes] == [Change] * ("Producer" in text and "avro" not in text)


@pytest.mark.parametrize("text", blocks("bash", "console"))
def test_every_change_in_a_shell_line_is_one(text):
    published = "\n".join(line for line in text.splitlines() if not re.search("/v1/simulate|/override", line))
    for written in re.findall(r"'(\{.*\})'", published):
        assert isinstance(read_change(json.loads(written), ORIGIN), Change)


def test_the_table_of_the_configuration_has_every_key_with_its_default():
    page = (ROOT / "docs/reference/configuration.md").read_text()

    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", page, re.MULTILINE))

    assert defaults() == rows


def test_the_reference_of_the_metrics_is_made_from_their_declarations():
    assert metrics.reference() == metrics.FILE.read_text(), "stale: `make generated`"


def test_the_reference_of_the_api_is_made_from_its_openapi_document():
    assert api.reference() == api.FILE.read_text(), "stale: `make generated`"


def defaults() -> dict[str, str]:
    """Return each key of the configuration with its default, as the table writes them."""
    found = dict(keys_of(Config))
    for name, options in DEFAULT_SINKS.items():
        found |= {f"sinks.{name}.{option}": as_written(value) for option, value in options.items()}
    return found


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        section, mark = section_of(info.annotation)
        if section is not None:
            yield from keys_of(section, f"{above}{name}{mark}.")
        else:
            default = info.get_default(call_default_factory=True)
            yield above + name, "required" if default is PydanticUndefined else as_written(default)


def section_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the section that a key holds, one or many of it, and how its path says so."""
    origin, arms = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return section_of(arms[0])
    if origin in (Union, UnionType):
        return section_of(next(arm for arm in arms if arm is not NoneType))
    if origin in (tuple, dict):
        found = section_of(arms[0 if origin is tuple else 1])[0]
        return found, "[]" if origin is tuple else ".NAME"
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return (annotation if is_section else None), ""


def as_written(value: Any) -> str:
    """Return a default as one writes it in YAML, `none` where there is none."""
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(as_written(each).strip('`') for each in value)}]`"
    if isinstance(value, timedelta):
        return f"`{duration(int(value.total_seconds()))}`"
    return f"`{value}`"


def duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
