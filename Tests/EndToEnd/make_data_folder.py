"""Makes an archive of a data folder as a server of some version leaves it when it is killed.

    .build/venv/bin/python Tests/EndToEnd/make_data_folder.py \
        --binary PATH --out Tests/Vectors/data-folders/VERSION.tar.xz

`test_older_data_folder.py` starts the server under test on every archive in that folder.

For a later version: check out the commit that is to be kept, build its release binary, and run this
with it, once. Name the archive after the commit; leave the archives of earlier versions as they
are, for folders of those are still about. Where a version has a new state on disk, give it a scene
in `data_folder_scenes.py` first; a scene whose state is not on disk at the kill ends this with an
error, and no archive is written. The formats of later versions are none of this program's matter
but for the names that `data_folders.StreamFolder` reads.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Reads the options and makes the archive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", type=Path, required=True, help="the server to kill")
    parser.add_argument("--out", type=Path, required=True, help="the archive to write")
    arguments = parser.parse_args()
    # The modules of the tests read it when they are imported.
    os.environ["HYDRANT_BINARY"] = str(arguments.binary.resolve())
    from server import leads_elsewhere

    for name in filter(leads_elsewhere, list(os.environ)):
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="data-folder-") as folder:
        try:
            make(Path(folder), arguments.out.resolve())
        except NotMade as failure:
            sys.exit(f"no archive is written: {failure}")
    print(f"{arguments.out}: {arguments.out.stat().st_size:,} bytes")


class NotMade(Exception):
    """The server that was killed did not leave what it should, and what was wrong."""


def make(folder: Path, archive: Path) -> None:
    """Has a server come into all states, kills it, and packs what it leaves."""
    from data_folder_scenes import HANGS_AT_A_Y, SMALL, Stage
    from data_folders import (
        DATA,
        MANIFEST,
        MASTER_KEYS,
        PROGRAM,
        pack,
        readdress,
        running_destinations,
    )
    from endpoint_streams import endpoint_settings
    from master_keys import fresh_master_key, write_master_keys
    from server import Hydrant
    from transform_programs import Programs, is_alive

    keys = write_master_keys(folder / MASTER_KEYS, fresh_master_key())
    programs = Programs(folder / "programs")
    programs.write("worker", HANGS_AT_A_Y, name=PROGRAM)
    with running_destinations(folder) as places:
        small = {"endpoint": f"*{SMALL}", "maximumRequestMegabytes": 1}
        settings = endpoint_settings(folder / "endpoints.json", small)
        hydrant = Hydrant(
            folder,
            *places.options(programs, keys),
            *settings,
            environment=places.buckets.environment,
        ).start()
        try:
            stage = Stage(folder, hydrant, places, programs)
            scenes = stage.all()
        finally:
            hydrant.sigkill()
            for pid in filter(is_alive, programs.pids(PROGRAM)):
                os.kill(pid, signal.SIGKILL)
        if missing := stage.missing(scenes):
            raise NotMade(f"not in their states at the kill: {', '.join(missing)}")
        if places.complaints:
            raise NotMade(f"requests were not as they must be: {places.complaints[:5]}")
        manifest = stage.manifest(scenes)
        readdress(folder / DATA, {here: there for there, here in places.ports.items()})
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    pack(folder, archive)


if __name__ == "__main__":
    main()
