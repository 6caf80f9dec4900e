"""Runs over a remote repository: what they publish, delete and keep, commit after commit."""

from tests.integration.sources.git_servers import HttpServer, Origin, running
from tests.integration.sources.reading import source


def component(name, owner="team-pay"):
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: Component\n"
        f"metadata: {{name: {name}}}\nspec: {{type: service, lifecycle: production, owner: {owner}}}\n"
    )


def names(stage):
    return {ref.removeprefix("component:default/") for ref in stage.held()}


def test_commit_after_commit_the_catalogue_is_what_the_repository_holds(stage, tmp_path):
    origin = Origin(tmp_path / "origin.git")
    origin.commit({f"{number}.yaml": component(f"c-{number}") for number in range(8)})
    with running(HttpServer(origin)) as server:
        reader = source({"url": server.url}, tmp_path, chunk_size=2)
        stage.look(reader)
        origin.commit(
            {"moved.yaml": component("c-0"), "1.yaml": component("c-1", "team-shop")}, without=["0.yaml", "2.yaml"]
        )
        stage.look(reader)
        origin.commit({"3.yaml": "kind: Component\napiVersion: [", "9.yaml": component("c-9")})
        stage.look(reader)
        origin.commit({"9.yaml": component("c-10")}, onto="-")
        stage.look(reader)

    runs = [(each["mode"], each["outcome"], each["deleted"]) for each in stage.runs]
    assert runs == [("complete", "complete", 0), *[("changes", "complete", deleted) for deleted in (1, 0, 1)]]
    assert stage.held()["component:default/c-1"]["spec"]["owner"] == "team-shop"
    assert names(stage) == {"c-0", "c-1", "c-3", "c-4", "c-5", "c-6", "c-7", "c-10"}


def test_a_repository_that_is_away_or_damaged_here_deletes_nothing(stage, tmp_path):
    origin = Origin(tmp_path / "origin.git")
    origin.commit({f"{number}.yaml": component(f"c-{number}") for number in range(4)})
    with running(HttpServer(origin)) as server:
        reader = source({"url": server.url}, tmp_path)
        stage.look(reader)
        server.answer = ("503 Away", [], b"")
        stage.look(reader)
        server.answer = None
        for pack in (tmp_path / "data").rglob("*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(b"\0" * pack.stat().st_size)
        origin.commit({}, without=["0.yaml"])
        stage.look(reader, times=3)

    assert (names(stage), stage.runs[-1]["outcome"]) == ({"c-1", "c-2", "c-3"}, "complete")
