"""Breaks one rule of delivery at a time, and shows that the simulator notices.

    python3 Tests/Mutants/mutants.py [NAME ...]

Each mutant is a change of one place in the sources, made in a copy of them. The simulator must fail with
each; with none of them it must pass.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".build-mutants"
WORLDS = "200000"

BUFFERS = "Sources/Delivery/Buffering/Buffer+StateMachine.swift"
RECORDS = "Sources/Delivery/Records/RecordDelivery+StateMachine.swift"
PARTS = "Sources/Delivery/Records/RecordDelivery+Part.swift"
LOADS = "Sources/Delivery/Warehouse/WarehouseLoad+StateMachine.swift"
NOTES = "Sources/Delivery/Journal/JournalNote.swift"
PROGRESS = "Sources/Delivery/Journal/DeliveryProgress.swift"
ALLOWANCE = "Sources/Delivery/Retry/RetryAllowance.swift"

# Name, file, what is there, what is put in its place.
MUTANTS = [
    (
        "what is transformed overtakes what is not",
        BUFFERS,
        "buffer.isJournalled != bounds.isJournalled",
        "false",
    ),
    (
        "the checkpoint moves over buffers that are not settled",
        BUFFERS,
        "let done = inFlight.prefix { $0.isSettled }",
        "let done = inFlight.prefix(index + 1)",
    ),
    (
        "an entry does not join the checkpoint",
        BUFFERS,
        "joinsCheckpoint: bounds.isJournalled && inFlight.isEmpty",
        "joinsCheckpoint: false",
    ),
    (
        "a settled buffer that is held up is not journalled so",
        BUFFERS,
        "inFlight.prefix { $0.sequence != sequence }.allSatisfy(\\.isSettled)",
        "true",
    ),
    (
        "sealed buffers are cut again after a restart",
        BUFFERS,
        "start = resumed.last?.end ?? checkpoint",
        "start = checkpoint",
    ),
    (
        "progress is not written",
        RECORDS,
        "if isWritten { actions.append(.note(progress)) }",
        "",
    ),
    (
        "progress is not read",
        RECORDS,
        "} else if progress?.isDelivered(number) != true {",
        "} else {",
    ),
    (
        "progress is forgotten where what was kept is damaged",
        RECORDS,
        "        isKept = false\n",
        "        isKept = false\n        progress = nil\n",
    ),
    (
        "failed records are kept before what was delivered is written",
        RECORDS,
        "actions = isProgressWritten ? [] : progress.map { [.note($0)] } ?? []",
        "actions = []",
    ),
    (
        "what is refused before it is sent counts as delivered",
        RECORDS,
        "unsent.append(number)",
        "",
    ),
    (
        "failed records are delivered before they are durable",
        RECORDS,
        "actions.append(.keep(summary))",
        "actions.append(.deliverFailures)",
    ),
    (
        "a buffer is settled before its failed records are delivered",
        RECORDS,
        "        case .keep: isKept = true\n",
        "        case .keep: return actions = [.settle]\n",
    ),
    (
        "a buffer with failed records is sent again after a restart",
        RECORDS,
        "isKept = buffer.kept != nil",
        "isKept = false",
    ),
    (
        "the time to give up begins anew with a restart",
        RECORDS,
        "if !outage.isWaitedOut, !isResumed { clock.start = nil }",
        "if !outage.isWaitedOut, !isResumed || true { clock.start = nil }",
    ),
    (
        "a server that was started gives up at once",
        ALLOWANCE,
        "max(duration - used, least - (now - serverStart))",
        "max(duration - used, min(.zero, least - (now - serverStart)))",
    ),
    (
        "records are given up while their bucket is away",
        RECORDS,
        "if report.isTimeUp, !isNowhere {",
        "if report.isTimeUp {",
    ),
    (
        "records that are given up are lost",
        RECORDS,
        "pending?.failed += failed",
        "",
    ),
    (
        "refused records are lost",
        RECORDS,
        "actions.append(.gather(failed))",
        "",
    ),
    (
        "records that failed in a transform are lost",
        RECORDS,
        "if part.hasEarlierFailures { hasEarlierFailures = true }",
        "",
    ),
    (
        "refused records are sent again",
        PARTS,
        "part.failed.append(record(failure, isSetAside: answer.setsAside))",
        "failed.append(record(failure))",
    ),
    (
        "failed records are kept twice",
        RECORDS,
        "        pending?.failed = []\n",
        "",
    ),
    (
        "an attempt to load whose end is not known gets a new number",
        LOADS,
        "        if !state.isOpen {\n",
        "        if true {\n",
    ),
    (
        "an attempt to load whose end is not known counts as failed",
        LOADS,
        "        case .unknown(let reason):\n            failure = reason\n",
        "        case .unknown(let reason):\n            failure = reason\n"
        "            state.isOpen = false\n",
    ),
    (
        "an attempt that was not run closes one whose end is not known",
        LOADS,
        "state.isOpen = wasOpen",
        "state.isOpen = false",
    ),
    (
        "a load runs before its number is durable",
        LOADS,
        "actions = [.note(state), .run(number: state.number)]",
        "actions = [.run(number: state.number)]",
    ),
    (
        "a manifest is left for a back-fill before that is durable",
        LOADS,
        "            state.givenUp = givenUp\n            actions = [.note(state), .leaveManifest(givenUp)]",
        "            state.givenUp = givenUp\n            actions = [.leaveManifest(givenUp), .note(state)]",
    ),
    (
        "the journal forgets progress",
        NOTES,
        "if progress == nil { progress = new } else { progress?.merge(new) }",
        "if progress == nil { progress = new }",
    ),
    (
        "the journal forgets that a buffer is settled",
        NOTES,
        "case .settled: isSettled = true",
        "case .settled: break",
    ),
    (
        "an older note of a load wins",
        NOTES,
        "if load.map({ new.isLater(than: $0) }) ?? true { load = new }",
        "if load == nil { load = new }",
    ),
    (
        "open records are not remembered",
        PROGRESS,
        "open = Set(open).subtracting(delivered).union(more).sorted()",
        "open = Set(open).subtracting(delivered).sorted()",
    ),
    (
        "records whose answer was lost are given up unasked",
        RECORDS,
        "since = part.uncertainSince, !sent.isEmpty",
        "since = part.uncertainSince, sent.count > 1_000_000",
    ),
    (
        "asked for is only what this run sent",
        RECORDS,
        "if buffer.isResumed { pending.uncertainSince",
        "if false { pending.uncertainSince",
    ),
    (
        "asked for is only what an earlier run sent",
        RECORDS,
        "if settled.isUncertain || answer.isUncertain { part.uncertainSince = now }",
        "",
    ),
    (
        "records that were found fail all the same",
        RECORDS,
        "pending?.failed.removeAll { known.contains($0.number) }",
        "_ = known",
    ),
    (
        "records that were found are not written down",
        RECORDS,
        "            isProgressWritten = false\n            actions.append(.note(progress))\n",
        "",
    ),
]


def copy() -> Path:
    """A copy of the sources, with the folders' own times, so that little is built anew."""
    tree = WORK / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    for name in ("Sources", "Tests", "Package.swift"):
        source, target = ROOT / name, tree / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, copy_function=shutil.copy2)
        else:
            shutil.copy2(source, target)
    return tree


def simulate(tree: Path) -> tuple[bool, str]:
    """Builds the simulator and runs it: whether all was well, and what it said last."""
    build = subprocess.run(
        ["swift", "build", "--product", "simulate", "--scratch-path", str(WORK / "build")],
        cwd=tree,
        capture_output=True,
        text=True,
    )
    if build.returncode:
        return False, "it does not build: " + build.stdout[-600:]
    run = subprocess.run(
        [str(WORK / "build/debug/simulate"), "0", WORLDS],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return run.returncode == 0, (run.stdout.strip().splitlines() or [run.stderr[-300:]])[-1]


def main() -> int:
    wanted = sys.argv[1:]
    tree = copy()
    isWell, said = simulate(tree)
    if not isWell:
        print(f"without a mutant: {said}")
        return 1
    missed = 0
    for name, file, old, new in MUTANTS:
        if wanted and not any(part in name for part in wanted):
            continue
        path = tree / file
        text = path.read_text()
        if text.count(old) < 1:
            print(f"STALE   {name}: {file} has no {old!r}")
            missed += 1
            continue
        path.write_text(text.replace(old, new, 1))
        isWell, said = simulate(tree)
        path.write_text(text)
        isCaught = not isWell and "does not build" not in said
        missed += not isCaught
        print(f"{'caught ' if isCaught else 'MISSED '} {name}: {said}", flush=True)
    print(f"{len(MUTANTS)} mutants, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
