"""Kills, with everything on: whenever the server dies, what was acknowledged is delivered once.

HYDRANT_KILLS is how many, HYDRANT_SEED repeats a run's choices.
"""

import os
import random
import time
from collections import Counter

import pytest

from everything import Cluster, Scene, seeds

KILLS = int(os.environ.get("HYDRANT_KILLS", "25"))

KILLS_OF_SCENE = 100

pytestmark = pytest.mark.timeout(180 + 3 * KILLS)


def kill_often(scene: Scene, chance: random.Random, kills: int, when: Counter[str]) -> None:
    """Kills the server while it starts, soon after, or in the middle of its work."""
    for number in range(kills):
        if number % 40 == 20:
            # Logs give back what they do not use, some of them when the server dies.
            scene.load.rest(chance.uniform(2, 6))
            when["after a rest"] += 1
        elif chance.random() < 0.2:
            time.sleep(chance.uniform(0, 0.15))
            when["while it started"] += 1
        else:
            time.sleep(chance.expovariate(4))
            when["while it worked"] += 1
        scene.hydrant.sigkill()
        if chance.random() < 0.2:
            # Dies again before it listens.
            scene.hydrant.spawn()
        else:
            scene.hydrant.start()
    scene.hydrant.sigkill()
    scene.hydrant.start()


def test_no_kill_loses_or_doubles_a_record(tmp_path, report_counts):
    chance = seeds()
    when: Counter[str] = Counter()
    kills = acknowledged = 0
    while kills < KILLS:
        some = min(KILLS_OF_SCENE, KILLS - kills)
        with Cluster(chance.randrange(2**32)) as cluster:
            scene = Scene.make(tmp_path / f"scene-{kills}", cluster, chance.randrange(2**32))
            try:
                scene.load.start()
                kill_often(scene, chance, some, when)
                scene.load.stop()
                cluster.is_kind = True
                verdict = scene.judge(time.monotonic(), timeout=60)
                assert verdict.is_good, f"after {kills + some} kills: {verdict}"
            finally:
                if scene.hydrant.process:
                    scene.hydrant.sigkill()
        kills += some
        acknowledged += verdict.acknowledged
    report_counts(
        f"{kills} kills ({dict(when)}): {acknowledged:,} acknowledged records looked for, "
        "0 missing, 0 doubled"
    )
