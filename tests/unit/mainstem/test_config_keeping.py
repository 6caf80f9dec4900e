"""The copy of the configuration that `up` hands to its roles."""

from mainstem.configuration.keeping import forget, keep
from mainstem.configuration.loading import load

CONNECTOR = "connector_id: pay\ntype: external\npriority: ${RANK:-7}\n"


def test_the_copy_says_the_same_whatever_becomes_of_the_files(read, tmp_path):
    (tmp_path / "token").write_text("canary-kan4rie")
    told = read("api: {token: {secret_ref: 'file:token'}}\n", connectors={"pay.yaml": CONNECTOR})
    kept = keep(told.origin, tmp_path / "kept")
    (tmp_path / "mainstem.yaml").write_text("connectors: [")
    (tmp_path / "connectors.d" / "another.yaml").write_text(CONNECTOR)
    again = load(kept, environ={}, base_dir=tmp_path)
    assert (again, again.origin.base_dir, again.origin.places) == (told, tmp_path, told.origin.places)


def test_where_there_was_no_file_the_copy_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = keep(load(environ={}).origin, tmp_path / "kept")
    assert (kept.name, kept.read_text()) == ("mainstem.yaml", "")


def test_only_its_owner_reads_the_copy_and_an_older_one_is_gone(read, tmp_path):
    keep(read(connectors={"old.yaml": CONNECTOR}).origin, tmp_path / "kept")
    (tmp_path / "connectors.d" / "old.yaml").unlink()
    told = read(connectors={"new.yaml": CONNECTOR})
    keep(told.origin, tmp_path / "kept")
    found = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "kept").rglob("*")}
    assert found == {"mainstem.yaml": 0, "connectors.d": 0, "new.yaml": 0}


def test_what_the_files_held_is_not_shown(read):
    assert "canary" not in repr(read("api: {token: canary-kan4rie}").origin)


def test_forgetting_what_was_never_kept_is_no_fault(tmp_path):
    forget(tmp_path / "never")
    assert not (tmp_path / "never").exists()
