internal import Foundation
internal import Transforms

/// How fast a transform is by itself.
struct TransformBench {
    private let pool: TransformPool
    private let batches: [TransformInput.Batch]

    init(_ pool: TransformPool, _ batches: [TransformInput.Batch]) {
        self.pool = pool
        self.batches = batches
    }

    /// What some invocations came to.
    private struct Figures: Sendable {
        var records = 0
        var bytes = 0
        var latencies: [Duration] = []
    }

    /// Repeats the input, as many invocations at one time as the transform takes.
    ///
    /// - Returns: A line for people.
    func run(for duration: Duration) async throws -> String {
        guard !batches.isEmpty else { return "the input has no records" }
        // The first invocation of each process starts it, and is not counted.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<pool.concurrency {
                group.addTask { _ = try await pool.invoke(batches[0].event) }
            }
            try await group.waitForAll()
        }
        let start = ContinuousClock.now
        var all = Figures()
        try await withThrowingTaskGroup(of: Figures.self) { group in
            for _ in 0..<pool.concurrency {
                group.addTask { try await self.repeatInput(until: start + duration) }
            }
            for try await figures in group {
                all.records += figures.records
                all.bytes += figures.bytes
                all.latencies += figures.latencies
            }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        all.latencies.sort()
        func milliseconds(_ quantile: Double) -> String {
            let index = Int(Double(all.latencies.count - 1) * quantile)
            return String(format: "%.2f", all.latencies[index] / .milliseconds(1))
        }
        let megabytes = Double(all.bytes) / seconds / 1e6
        return """
            \(Int(Double(all.records) / seconds)) records/s, \
            \(String(format: "%.2f", megabytes)) MB/s, p50 \(milliseconds(0.5)) ms, \
            p99 \(milliseconds(0.99)) ms an invocation
            """
    }

    private func repeatInput(until end: ContinuousClock.Instant) async throws -> Figures {
        var figures = Figures()
        repeat {
            for batch in batches {
                let start = ContinuousClock.now
                _ = try TransformResponse(try await pool.invoke(batch.event), to: batch.event)
                figures.latencies.append(.now - start)
                figures.records += batch.records.count
                figures.bytes += batch.records.reduce(0) { $0 + $1.bytes }
                if ContinuousClock.now >= end { break }
            }
        } while ContinuousClock.now < end
        return figures
    }
}
