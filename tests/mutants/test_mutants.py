"""Mutants are patches: each must still fit the build that it is to break."""

from tests.mutants.catalogue import ROOT, mutants


def test_every_mutant_still_applies_in_exactly_one_place_and_names_a_test_that_is_there():
    assert [fault for mutant in mutants() for fault in mutant.faults(ROOT)] == []


def test_every_mutant_leaves_a_program(tmp_path):
    for mutant in mutants():
        copy = tmp_path / mutant.name / mutant.file
        copy.parent.mkdir(parents=True)
        copy.write_text((ROOT / mutant.file).read_text())
        mutant.apply(tmp_path / mutant.name)
