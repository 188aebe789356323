"""Power cuts: whatever a file system may have kept of what was not synced, nothing acknowledged is lost.

A load is recorded, with everything on; then images of the data folder are made as a power cut at any moment
may have left them, and a server is started on each. HYDRANT_POWER_CUTS is how many, HYDRANT_SEED repeats a
run's choices.
"""

import errno
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from disk_images import DATA_MODES, NAME_MODES, SYNC_BEGIN, Recording, Watch, differences
from everything import Cluster, Judge, Scene, Verdict, seeds
from waiting import WaitedTooLong, wait_until

CUTS = int(os.environ.get("HYDRANT_POWER_CUTS", "20"))

CUTS_OF_RECORDING = 20

RECORDED_SECONDS = 4.0

IDLE_SECONDS = 5.0
"""Longer than logs wait before they give back what they do not use."""

pytestmark = pytest.mark.timeout(120 + 20 * CUTS)


class Recorded:
    """A load that was recorded, and images of it."""

    def __init__(self, folder: Path, seed: int, *options: str, fails_syncs: bool = False):
        self.folder = folder
        self.chance = random.Random(seed)
        self.cluster = Cluster(seed)
        self.scene = None
        self._options = options
        self._fails_syncs = fails_syncs
        self.failed_syncs = 0

    def __enter__(self) -> "Recorded":
        self.cluster.__enter__()
        root = self.folder / "server" / "data"
        self.folder.mkdir(parents=True)
        watch = self.watch = Watch(root, self.folder)
        seed = self.chance.randrange(2**32)
        self.scene = Scene.make(
            self.folder, self.cluster, seed, *self._options, environment=watch.environment
        )
        self.began = time.monotonic()
        hydrant = self.scene.hydrant
        self.scene.load.start()
        time.sleep(RECORDED_SECONDS / 2)
        if not self._options:
            self.scene.load.rest(IDLE_SECONDS)
        watch.kill(hydrant)
        hydrant.start()
        if self._fails_syncs:
            self.failed_syncs = self.fail_syncs()
        time.sleep(RECORDED_SECONDS / 2)
        watch.kill(hydrant)
        self.scene.load.stop()
        self.documents = dict(self.cluster.documents)
        self.cluster.is_kind = True
        self.recording = Recording(root, watch.trace.read_bytes())
        hydrant.environment = {}
        return self

    def __exit__(self, *arguments) -> None:
        if self.scene and self.scene.hydrant.process:
            self.scene.hydrant.sigkill()
        self.cluster.__exit__(*arguments)

    def fail_syncs(self) -> int:
        """Makes syncs fail now and then, while the load goes on; returns how many."""
        for _ in range(10):
            hits = self.watch.hits
            self.watch.arm(self.chance.randint(0, 40), errno.EIO, [SYNC_BEGIN])
            try:
                wait_until(lambda hits=hits: self.watch.hits > hits, "a fault", timeout=2)
            except WaitedTooLong:
                self.watch.disarm()
        return self.watch.hits

    def image(self, folder: Path, moment: float, data: str, names: str) -> None:
        self.recording.image(self.recording.index(moment), folder, self.chance, data, names)

    def judge(self, moment: float, data: str, names: str, *, timeout: float = 30) -> Verdict:
        """Starts the server on an image, and says what is wrong when all is delivered."""
        hydrant = self.scene.hydrant
        hydrant.data = self.folder / f"image-{self.chance.randrange(2**40)}"
        self.image(hydrant.data, moment, data, names)
        self.cluster.restore(self.documents, moment)
        hydrant.start()
        try:
            judge = Judge(hydrant, self.cluster, self.scene.load.ledger, moment)
            return judge.judge(timeout=timeout)
        finally:
            hydrant.sigkill()

    def moment(self) -> float:
        """Any moment of the load."""
        return self.chance.uniform(self.began, self.recording.times[-1])


def test_the_recording_is_the_folder(tmp_path):
    """With all changes applied, an image is what is really there."""
    with Recorded(tmp_path / "scene", seeds().randrange(2**32)) as recorded:
        image = tmp_path / "image"
        recorded.image(image, recorded.recording.times[-1], "everything", "all")
        assert not differences(recorded.folder / "server" / "data", image)


def test_no_power_cut_loses_or_doubles_a_record(tmp_path, report_counts):
    chance = seeds()
    modes: Counter[str] = Counter()
    acknowledged = cuts = 0
    while cuts < CUTS:
        folder = tmp_path / f"recording-{cuts}"
        with Recorded(folder, chance.randrange(2**32)) as recorded:
            for _ in range(min(CUTS_OF_RECORDING, CUTS - cuts)):
                data, names = chance.choice(DATA_MODES), chance.choice(NAME_MODES)
                verdict = recorded.judge(recorded.moment(), data, names)
                assert verdict.is_good, f"cut {cuts} ({data}, {names}): {verdict}"
                modes[data] += 1
                modes[names] += 1
                acknowledged += verdict.acknowledged
                cuts += 1
    report_counts(
        f"{cuts} power cuts ({dict(modes)}): {acknowledged:,} acknowledged records looked for, "
        "0 missing, 0 doubled"
    )


def test_what_a_failed_sync_has_lost_is_not_acknowledged_later(tmp_path, report_counts):
    """The page cache still has it, and a later sync goes well; the disk never gets it."""
    chance = seeds()
    seed = chance.randrange(2**32)
    with Recorded(tmp_path / "scene", seed, fails_syncs=True) as recorded:
        for _ in range(5):
            verdict = recorded.judge(recorded.moment(), "everything", "all")
            assert verdict.is_good, f"{verdict}"
        end = recorded.judge(recorded.recording.times[-1], "everything", "all")
        assert end.is_good, f"{end}"
    report_counts(f"{recorded.failed_syncs} failed syncs, 6 power cuts behind them: nothing lost")
    assert recorded.failed_syncs > 3


def test_without_syncs_a_power_cut_loses_records(tmp_path, report_counts):
    """The negative control: what `--durability os` does not promise, these images take."""
    chance = seeds()
    with Recorded(
        tmp_path / "scene", chance.randrange(2**32), "--durability", "os"
    ) as recorded:
        lost = 0
        for _ in range(5):
            verdict = recorded.judge(recorded.moment(), "nothing", "none", timeout=2)
            lost += sum(map(len, verdict.missing.values()))
    report_counts(f"--durability os: 5 power cuts lost {lost:,} acknowledged records")
    assert lost
