internal import CoreMetrics
internal import Synchronization

/// A line of a metric, or several for a histogram.
struct Sample {
    /// What is put behind the name.
    var suffix = ""
    /// Further labels, written out.
    var labels: [String] = []
    var value: String
}

/// One metric with its labels.
protocol Series: AnyObject, Sendable {
    /// How many hold it.
    var owners: Atomic<Int> { get }

    func samples() -> [Sample]
}

/// A number of things.
final class Count: Series, CounterHandler {
    let owners = Atomic(1)
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }
    func samples() -> [Sample] { [Sample(value: "\(value.load(ordering: .relaxed))")] }
}

/// A sum that is not whole.
final class Sum: Series, FloatingPointCounterHandler {
    let owners = Atomic(1)
    private let value = Mutex(0.0)

    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func reset() { value.withLock { $0 = 0 } }
    func samples() -> [Sample] { [Sample(value: Histogram.text(value.withLock { $0 }))] }
}

/// What something is now.
final class Level: Series, MeterHandler, RecorderHandler {
    let owners = Atomic(1)
    private let value = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func samples() -> [Sample] { [Sample(value: Histogram.text(value.withLock { $0 }))] }
}

/// How often something was up to so much.
final class Histogram: Series, RecorderHandler, TimerHandler {
    /// From a fast sync to a transform at its end.
    static let seconds = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
        900,
    ]
    /// Powers of ten.
    static let sizes = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }
    let owners = Atomic(1)
    private let bounds: [Double]
    private let state: Mutex<State>

    init(_ bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        let place = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[place] += 1
            state.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func samples() -> [Sample] {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var total: UInt64 = 0
        var samples: [Sample] = []
        for (place, count) in counts.enumerated() {
            total += count
            let bound = place < bounds.count ? Self.text(bounds[place]) : "+Inf"
            samples.append(
                Sample(suffix: "_bucket", labels: ["le=\"\(bound)\""], value: "\(total)")
            )
        }
        samples.append(Sample(suffix: "_sum", value: Self.text(sum)))
        samples.append(Sample(suffix: "_count", value: "\(total)"))
        return samples
    }

    static func text(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
