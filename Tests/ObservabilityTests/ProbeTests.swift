import Dispatch
import Observability
import Platform
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ProbeTests {
    @Test func `a try that hangs is told of after its patience, and holds nobody up`() async {
        let threads = WorkerThreads(count: 1)
        let time = ManualTime()
        let gate = DispatchSemaphore(value: 0)
        let probe = Probe(on: threads, patience: .seconds(10), time: time) { gate.wait() }
        // Nothing is known to be wrong yet.
        #expect(await answer(of: probe, after: .seconds(2), time) == nil)
        time.advance(by: .seconds(7))
        let late = await answer(of: probe, after: .seconds(2), time)
        #expect(late == "it has been waited for since 11 s")
        gate.signal()
        threads.close()
        // What it came to is known, and good for its interval.
        #expect(await probe.failure() == nil)
    }

    @Test func `a result is good for its interval`() async {
        struct Wrong: Error, CustomStringConvertible { let description = "wrong" }
        let threads = WorkerThreads(count: 1)
        let time = ManualTime()
        let tries = Mutex(0)
        let probe = Probe(on: threads, interval: .seconds(1), time: time) {
            guard
                tries.withLock({ tries in
                    tries += 1
                    return tries > 1
                })
            else { throw Wrong() }
        }
        #expect(await probe.failure() == "wrong")
        time.advance(by: .milliseconds(999))
        #expect(await probe.failure() == "wrong")
        time.advance(by: .milliseconds(1))
        #expect(await probe.failure() == nil)
        #expect(tries.withLock { $0 } == 2)
        threads.close()
    }

    @Test func `an answer that is cancelled comes at once`() async {
        let threads = WorkerThreads(count: 1)
        let gate = DispatchSemaphore(value: 0)
        let time = ManualTime()
        let probe = Probe(on: threads, time: time) { gate.wait() }
        let answer = Task { await probe.failure() }
        await time.whenSleepers()
        answer.cancel()
        #expect(await answer.value == nil)
        gate.signal()
        threads.close()
    }

    private func answer(of probe: Probe, after wait: Duration, _ time: ManualTime) async -> String?
    {
        async let answer = probe.failure()
        await time.whenSleepers()
        time.advance(by: wait)
        return await answer
    }
}
