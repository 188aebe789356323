"""Runs a test that takes long in slices: each goes on where the last ended well.

    python slices.py power-cuts|kills|disk-faults [COUNT]

Each slice is a run of the test with a seed of its own. It ends after 20 minutes, or when COUNT are done
(1,000; 2,000 faults); called again, it goes on. A slice that fails says with which seed it is repeated.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

STATE = HERE.parents[1] / ".build" / "slices.json"

MOST_SECONDS = 20 * 60

LANES = {
    # Name: the test, what sets its number, how many in a slice, how many in all.
    "power-cuts": ("test_power_cuts.py::test_no_power_cut", "HYDRANT_POWER_CUTS", 100, 1000),
    "kills": ("test_kills.py::test_no_kill", "HYDRANT_KILLS", 100, 1000),
    "disk-faults": ("test_disk_faults.py::test_no_fault", "HYDRANT_DISK_FAULTS", 200, 2000),
}


def main() -> int:
    lane = sys.argv[1]
    test, variable, in_slice, in_all = LANES[lane]
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else in_all
    state = json.loads(STATE.read_text()) if STATE.exists() else {}
    done = state.get(lane, 0) if state.get(lane, 0) < wanted else 0
    began, longest = time.monotonic(), 0.0
    while done < wanted and time.monotonic() - began + longest < MOST_SECONDS:
        slice_began = time.monotonic()
        some = min(in_slice, wanted - done)
        seed = str((int(os.environ.get("HYDRANT_SEED") or random.randrange(2**32)) + done) % 2**32)
        environment = os.environ | {variable: str(some), "HYDRANT_SEED": seed}
        file, name = test.split("::")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", str(HERE / file), "-k", name],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = re.findall(r"^\d+ (?:power cuts|kills|faults).*$", run.stdout, re.MULTILINE)
        print(f"{done}: {said[-1] if said else 'FAILED'}", flush=True)
        if run.returncode:
            print(run.stdout[-20_000:])
            print(f"{lane}: failed behind {done}; repeat it with HYDRANT_SEED={seed} {variable}={some}")
            return 1
        done += some
        longest = max(longest, time.monotonic() - slice_began)
        STATE.write_text(json.dumps(state | {lane: done}))
    print(f"{lane}: {done} of {wanted}" + ("" if done >= wanted else "; call again to go on"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
