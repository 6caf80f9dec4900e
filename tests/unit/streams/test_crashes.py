"""A record on which the process ends again and again is found, however the process ends."""

import os
import signal
import subprocess
import sys

import pytest

from streams.crashes import QUARANTINED_AFTER, SPANS, Crashes, KeyCrashes, Suspect

TOPIC = "mainstem.changes.git"


def crash(directory, first, last):
    """Start as a new process would, and end while merging."""
    crashes = Crashes(directory)
    with pytest.raises(ZeroDivisionError), crashes.watching((TOPIC, 3, first, last)):
        _ = 1 / 0
    return crashes


def test_a_merge_that_ends_well_leaves_no_suspect(tmp_path):
    with Crashes(tmp_path).watching((TOPIC, 3, 10, 19)):
        pass
    assert Crashes(tmp_path).suspect(TOPIC, 3) is None


def test_a_run_is_suspected_and_then_its_records_one_by_one(tmp_path):
    crash(tmp_path, 10, 19)
    assert Crashes(tmp_path).suspect(TOPIC, 3) == Suspect(topic=TOPIC, partition=3, first=10, last=19)
    for count in range(1, QUARANTINED_AFTER + 1):
        crash(tmp_path, 14, 14)
        suspect = Crashes(tmp_path).suspect(TOPIC, 3)
        assert (suspect.first, suspect.last, suspect.crashes) == (14, 14, count)
        assert suspect.is_guilty == (count == QUARANTINED_AFTER)


def test_another_offset_is_counted_anew(tmp_path):
    for _ in range(4):
        crash(tmp_path, 14, 14)
    crash(tmp_path, 15, 15)
    assert Crashes(tmp_path).suspect(TOPIC, 3).crashes == 1


def test_what_passed_is_suspected_no_more(tmp_path):
    crash(tmp_path, 10, 19)
    crashes = Crashes(tmp_path)
    crashes.passed(TOPIC, 3, 18)
    crashes.passed(TOPIC, 2, 19)
    assert crashes.suspect(TOPIC, 3) is not None
    crashes.passed(TOPIC, 3, 19)
    assert (crashes.suspect(TOPIC, 3), Crashes(tmp_path).suspect(TOPIC, 3)) == (None, None)


def test_a_process_that_is_killed_leaves_word(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from streams.crashes import Crashes\n"
        f"with Crashes(Path(sys.argv[1])).watching(({TOPIC!r}, 3, 7, 7)): os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert Crashes(tmp_path).suspect(TOPIC, 3) == Suspect(topic=TOPIC, partition=3, first=7, last=7)


def test_records_of_two_partitions_are_counted_apart(tmp_path):
    for _ in range(QUARANTINED_AFTER):
        for partition in (1, 2):
            with pytest.raises(ZeroDivisionError), Crashes(tmp_path).watching((TOPIC, partition, 7, 7)):
                _ = 1 / 0
    crashes = Crashes(tmp_path)
    assert [crashes.suspect(TOPIC, partition).is_guilty for partition in (1, 2)] == [True, True]


def test_all_that_was_merged_as_one_is_suspected(tmp_path):
    spans = [(f"{number}".rjust(249, "t"), number, number, number + 1) for number in range(SPANS)]
    with pytest.raises(ZeroDivisionError), Crashes(tmp_path).watching(*spans):
        _ = 1 / 0
    crashes = Crashes(tmp_path)
    found = [crashes.suspect(topic, partition) for topic, partition, _, _ in spans]
    assert [(each.topic, each.partition, each.first, each.last) for each in found] == spans


def crash_on(directory, key, version):
    """Start as a new process would, and end while a key is merged anew."""
    crashes = KeyCrashes(directory)
    with pytest.raises(ZeroDivisionError), crashes.watching(3, key, version):
        _ = 1 / 0


def test_a_key_is_guilty_after_so_many_ends_on_the_same_state(tmp_path):
    for count in range(1, QUARANTINED_AFTER + 1):
        crash_on(tmp_path, b"key", 7)
        crash_on(tmp_path, b"another", count)
        assert KeyCrashes(tmp_path).is_guilty(3, b"key", 7) == (count == QUARANTINED_AFTER)
    crashes = KeyCrashes(tmp_path)
    assert [crashes.is_guilty(*each) for each in ((3, b"key", 8), (2, b"key", 7), (3, b"another", 5))] == [False] * 3


def test_a_key_that_is_merged_anew_is_suspected_no_more(tmp_path):
    for _ in range(QUARANTINED_AFTER - 1):
        crash_on(tmp_path, b"key", 7)
    with KeyCrashes(tmp_path).watching(3, b"key", 7):
        pass
    crash_on(tmp_path, b"key", 7)
    assert not KeyCrashes(tmp_path).is_guilty(3, b"key", 7)


def test_what_is_merged_after_a_record_was_blamed_does_not_clear_it(tmp_path):
    crashes = Crashes(tmp_path)
    crashes.blame((TOPIC, 3, 7, 7))
    with crashes.watching((TOPIC, 3, 8, 20)):
        pass
    assert Crashes(tmp_path).suspect(TOPIC, 3).last == 7
