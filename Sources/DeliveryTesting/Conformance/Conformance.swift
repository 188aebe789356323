internal import Foundation
internal import JSON
internal import Platform
package import Records
internal import TestSupport

/// What every destination must get through.
package enum ConformanceCase: String, Sendable, CaseIterable {
    case allDelivered = "all delivered"
    case someRejected = "some rejected"
    case wholeRequestRefused = "whole request refused"
    case connectionRefused = "connection refused"
    case reset = "connection reset"
    case cut = "connection cut in the middle of an answer"
    case slow = "slow to the point of time-out"
    case retryTimeUsedUp = "retry time used up"
    case restart = "restart in the middle of a request"
    case cancellation = "cancellation between two attempts"
    case wrongCount = "an answer with the wrong count of items"
    case notJSON = "an answer that is not JSON"
    case flood = "an answer of a gigabyte"
    case unconfirmed = "no confirmation"
}

/// The cases, run against one kind of destination.
///
/// Records are lines of JSON; in each case every record must end in exactly one place: taken by the
/// destination, or kept as failed.
package struct Conformance: Sendable {
    /// All kinds of destinations.
    package static let all: [Conformance] = subjects.map { Conformance($0) }

    private static let subjects: [any ConformanceSubject] = [
        LocalSubject(), PeerSubject(S3Dialect()), PeerSubject(SearchDialect(.openSearch)),
        PeerSubject(SearchDialect(.elasticsearch)), PeerSubject(EndpointDialect()),
        PeerSubject(SplunkDialect()), PeerSubject(WarehouseDialect()),
    ]

    private static let retrySeconds = 7200
    private let subject: any ConformanceSubject

    /// What the records wait in.
    package var logs = LogKind.files

    private init(_ subject: any ConformanceSubject) { self.subject = subject }

    /// What the kind is called.
    package var name: String { subject.name }

    /// The kind.
    package var kind: DestinationKind { subject.kind }

    /// What it cannot meet with, and why.
    package var exceptions: [ConformanceCase: String] { subject.exceptions }

    /// Runs a case.
    ///
    /// - Returns: What is not as it must be.
    package func run(_ each: ConformanceCase) async throws -> [String] {
        switch each {
        case .allDelivered: try await recovers([])
        case .wholeRequestRefused: try await recovers([.refuse, .refuse])
        case .reset: try await recovers([.reset, .reset])
        case .cut: try await recovers([.cut, .cut])
        case .slow: try await recovers([.silence])
        case .wrongCount: try await recovers([.wrongCount, .wrongCount])
        case .notJSON: try await recovers([.notJSON, .notJSON])
        case .flood: try await recovers([.flood])
        case .unconfirmed: try await recovers([.unconfirmed])
        case .someRejected: try await someRejected()
        case .connectionRefused: try await fails(retrySeconds: 0, isClosed: true)
        case .retryTimeUsedUp: try await fails(retrySeconds: 100, isClosed: false)
        case .restart: try await restart()
        case .cancellation: try await cancellation()
        }
    }

    // MARK: Records

    static func isBad(_ record: String) -> Bool { record.contains("bad") }

    private static func records(_ numbers: Range<Int>, _ word: String = "good") -> [String] {
        numbers.map { #"{"n":\#($0),"is":"\#(word)"}"# }
    }

    static func lines(_ content: [UInt8]) -> [String] {
        content.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    static func lines(base64 text: String) -> [String] {
        lines(Array(Data(base64Encoded: text) ?? Data()))
    }

    static func object(_ json: [UInt8]) -> [String: Any] {
        // What is no JSON has no members, which the comparison shows.
        (try? JSONSerialization.jsonObject(with: Data(json))) as? [String: Any] ?? [:]
    }

    // MARK: Cases

    /// After some faults the destination takes all.
    private func recovers(_ steps: [ConformanceStep]) async throws -> [String] {
        let run = try await Run(subject, logs, steps, retrySeconds: Self.retrySeconds)
        run.harness.time.skipsSleeps = true
        let records = Self.records(0..<5)
        try await run.put(records)
        try await run.whenSettled(records.count)
        run.expect("delivered", run.script.accepted, records)
        run.expect("attempts", run.script.attempts.count, steps.count + 1)
        run.expect("failed", try run.failed().map(\.record), [])
        if run.target.flooded >= 512 * 1024 * 1024 {
            run.findings.append("\(run.target.flooded) bytes of an answer were read")
        }
        run.expectOneIdentity()
        return try await run.end()
    }

    private func someRejected() async throws -> [String] {
        let run = try await Run(subject, logs, [], afterwards: .rejectBad, retrySeconds: 0)
        run.harness.time.skipsSleeps = true
        let (before, bad, after) = (
            Self.records(0..<3), Self.records(3..<5, "bad"), Self.records(5..<8)
        )
        if subject.judgesRecords {
            try await run.put(before + bad + after)
        } else {
            for records in [before, bad] {
                try await run.put(records)
                try await run.whenSettled(records == bad ? 5 : 3)
            }
            try await run.put(after)
        }
        try await run.whenSettled(8)
        run.expect("delivered", run.script.accepted, before + after)
        run.expect("failed", try run.failed().map(\.record), bad)
        try run.expectReasons()
        return try await run.end()
    }

    /// The destination takes nothing for as long as it is tried.
    private func fails(retrySeconds: Int, isClosed: Bool) async throws -> [String] {
        let run = try await Run(subject, logs, [], afterwards: .refuse, retrySeconds: retrySeconds)
        if isClosed { try await run.target.close() }
        run.harness.time.skipsSleeps = true
        let records = Self.records(0..<5)
        try await run.put(records)
        try await run.whenSettled(records.count)
        run.expect("delivered", run.script.accepted, [])
        run.expect("failed", try run.failed().map(\.record), records)
        if !isClosed, run.script.attempts.count < 2 {
            run.findings.append("it was not tried again")
        }
        try run.expectReasons()
        run.expectOneIdentity()
        return try await run.end()
    }

    /// The server stops while it waits for an answer.
    private func restart() async throws -> [String] {
        let run = try await Run(subject, logs, [.silence], retrySeconds: Self.retrySeconds)
        let records = Self.records(0..<5)
        try await run.put(records)
        try await run.harness.eventually { !run.script.attempts.isEmpty }
        return try await run.goesOn(records)
    }

    /// The server stops while it waits for the time of the next attempt.
    private func cancellation() async throws -> [String] {
        let run = try await Run(subject, logs, [.refuse], retrySeconds: Self.retrySeconds)
        let records = Self.records(0..<5)
        try await run.put(records)
        try await run.harness.eventually { !run.script.attempts.isEmpty }
        await run.harness.time.whenSleepers()
        return try await run.goesOn(records)
    }

    // MARK: A run

    private struct Failed {
        var record: String
        var code: String
        var attempts: Int
    }

    private final class Run {
        let subject: any ConformanceSubject
        let script: ConformanceScript
        let target: any ConformanceTarget
        let harness: DeliveryHarness
        var findings: [String] = []

        init(
            _ subject: any ConformanceSubject,
            _ logs: LogKind,
            _ steps: [ConformanceStep],
            afterwards: ConformanceStep = .accept,
            retrySeconds: Int
        ) async throws {
            self.subject = subject
            let time = ManualTime()
            script = ConformanceScript(steps, afterwards: afterwards)
            target = try await subject.start(script, retrySeconds: retrySeconds, time: time)
            harness = try DeliveryHarness(target.parts, time: time, logs: logs)
            try await harness.create("s", target.destination)
        }

        func put(_ records: [String]) async throws {
            try await harness.put(records.map { Array(($0 + "\n").utf8) })
        }

        /// Waits until so many records are somewhere, and nothing is under way.
        func whenSettled(_ count: Int) async throws {
            do {
                try await harness.eventually { try script.accepted.count + failed().count >= count }
                try await harness.whenJournalIsEmpty()
            } catch is DeliveryHarness.TimeOver {
                findings.append("not all records are anywhere")
            }
        }

        /// Failed records: in the bucket for them, or on this server's disk.
        func failed() throws -> [Failed] {
            let givenUp = (target.failedRecords ?? [])
                .map { Failed(record: $0, code: "given up", attempts: 1) }
            guard let failures = target.failures else {
                let folder = harness.folder("data/set-aside")
                let names = FileManager.default.enumerator(atPath: folder)?.allObjects ?? []
                return try givenUp
                    + names.compactMap { $0 as? String }.sorted().flatMap { name in
                        let path = folder + "/" + name
                        var isFolder: ObjCBool = false
                        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                        let hidden = name.split(separator: "/").last?.hasPrefix(".") == true
                        return isFolder.boolValue || hidden
                            ? []
                            : Conformance.lines(try Folder.readFile(path)).map {
                                Failed(record: $0, code: "set aside", attempts: 1)
                            }
                    }
            }
            return failures.objects.sorted { $0.key < $1.key }.flatMap { _, content in
                Conformance.lines(content).flatMap { line in
                    let members = Conformance.object(Array(line.utf8))
                    let records = Conformance.lines(base64: members["rawData"] as? String ?? "")
                    return records.map {
                        Failed(
                            record: $0,
                            code: members["errorCode"] as? String ?? "",
                            attempts: members["attemptsMade"] as? Int ?? 0
                        )
                    }
                }
            }
        }

        /// Stops and starts, and sees to it that nothing was lost or given up.
        func goesOn(_ records: [String]) async throws -> [String] {
            await harness.stop()
            expect("delivered before the restart", script.accepted, [])
            expect("failed before the restart", try failed().map(\.record), [])
            try await harness.restart(target.parts)
            harness.time.skipsSleeps = true
            try await whenSettled(records.count)
            expect("delivered", script.accepted, records)
            expect("failed", try failed().map(\.record), [])
            expectOneIdentity()
            return try await end()
        }

        func end() async throws -> [String] {
            await harness.stop()
            try await target.stop()
            return findings
        }

        func expect<Value: Equatable>(_ what: String, _ found: Value, _ expected: Value) {
            if found != expected { findings.append("\(what): \(found) and not \(expected)") }
        }

        /// Each failed record says why, and after how many attempts.
        func expectReasons() throws {
            for failed in try failed() where failed.code.isEmpty || failed.attempts < 1 {
                findings.append("no reason for \(failed)")
            }
        }

        /// All attempts were for the same: no key, id or request id changes.
        func expectOneIdentity() {
            let identities = Set(script.attempts.map(\.identity))
            if identities.count > 1 { findings.append("more than one identity: \(identities)") }
        }
    }
}
