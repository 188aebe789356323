import Foundation
import Logging
import Platform
import Records
import TestSupport
import Testing

@testable import Transforms

/// How long processes may take, and may have nothing to do: by the server's clock.
@Suite(.timeLimit(.minutes(1))) struct ProcessClockTests {
    private let folder = TemporaryFolder()
    private let time = ManualTime()
    private let host: TransformHost

    init() {
        host = TransformHost(
            folder: folder.path,
            identity: ServiceIdentity(region: "us-east-1", account: "000000000000"),
            time: time,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// A transform that is a shell script.
    private func pool(_ script: String, mode: String, timeout: Int = 300) throws -> TransformPool {
        try Folder.create(folder("t"))
        let settings: [String: Any] = [
            "command": ["/bin/sh", "-c", script], "mode": mode, "timeoutSeconds": timeout,
        ]
        let json = try JSONSerialization.data(withJSONObject: settings)
        try Folder.replaceFile(folder("t/transform.json"), with: Array(json))
        return host.pool("t", arn: "t", stream: "s")
    }

    private var event: TransformEvent {
        TransformEvent.Builder(
            invocationID: "11111111-1111-1111-1111-111111111111",
            streamARN: "",
            region: "",
            capacity: 1000
        ).build()
    }

    private static let echo = "while read -r line; do echo '{}'; done"

    @Test(arguments: 1...3)
    func `streams take turns with few processes, whatever is warm`(most: Int) async throws {
        // The clock stands still: no warm process ends for want of work.
        let few = TransformHost(
            folder: folder.path,
            identity: host.identity,
            maximumProcesses: most,
            time: time,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        _ = try pool(Self.echo, mode: "worker")
        let pools = (0..<8).map { few.pool("t", arn: "t", stream: "s\($0)") }
        try await withThrowingTaskGroup { group in
            for pool in pools {
                group.addTask {
                    for _ in 0..<5 { _ = try await pool.invoke(event) }
                }
            }
            try await group.waitForAll()
        }
        let warm = pools.reduce(0) { $0 + $1.processes.idle + $1.processes.busy }
        #expect(warm <= most)
        await few.shutDown()
    }

    @Test func `a warm process that has nothing to do for long is ended`() async throws {
        let pool = try pool(Self.echo, mode: "worker")
        #expect(try await answer(of: pool) == "{}")
        let looks = Int(TransformLimits.maximumIdle / TransformLimits.idleCheckInterval)
        for _ in 0..<looks { await look() }
        await time.whenSleepers()
        #expect(pool.processes.idle == 1)
        // What is used again begins anew.
        #expect(try await answer(of: pool) == "{}")
        for _ in 0..<looks { await look() }
        await time.whenSleepers()
        #expect(pool.processes.idle == 1)
        await look()
        while !Task.isCancelled, pool.processes.idle > 0 { await Task.yield() }
        await host.shutDown()
    }

    private func answer(of pool: TransformPool) async throws -> String {
        let block = try await pool.invoke(event)
        return withExtendedLifetime(block) { String(decoding: block.bytes, as: UTF8.self) }
    }

    /// Lets the time go by after which the host looks for such.
    private func look() async {
        await time.whenSleepers()
        time.advance(by: TransformLimits.idleCheckInterval)
    }

    @Test(arguments: ["once", "worker", "lambda"])
    func `an invocation fails when its time is over, and not before`(
        mode: String
    ) async throws {
        let pool = try pool("sleep 1000", mode: mode, timeout: 7)
        let invocation = Task { [event] in try await pool.invoke(event) }
        // The host's own, and the invocation's.
        await time.whenSleepers(2)
        time.advance(by: .seconds(7) - .milliseconds(1))
        await time.whenSleepers(2)
        #expect(pool.processes.busy == 1)
        time.advance(by: .milliseconds(1))
        await #expect {
            try await invocation.value
        } throws: { error in
            (error as? InvocationFailure)?.reason == "it did not answer in time"
        }
        await host.shutDown()
    }

    @Test func `a process that does not end when it is asked is killed after the grace`()
        async throws
    {
        let script = "trap '' TERM; while :; do sleep 1; done"
        let pool = try pool(script, mode: "worker", timeout: 7)
        let invocation = Task { [event] in try await pool.invoke(event) }
        await time.whenSleepers(2)
        time.advance(by: .seconds(7))
        await #expect(throws: InvocationFailure.self) { try await invocation.value }
        await time.whenSleepers(2)
        time.advance(by: ChildProcess.grace)
        await host.shutDown()
    }
}
