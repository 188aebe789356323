internal import Destinations
internal import Records
internal import TestSupport

/// What a simulated server talks to: a bucket, a destination that takes records, a warehouse.
///
/// None of it knows of crashes; replies get lost on their way.
struct Outside {
    /// What stores and destinations do at the moment.
    var isBucketUp = true
    var isDestinationUp = true
    var isWarehouseUp = true
    /// Whether the destination refuses all that is new.
    var isReadOnly = false

    /// Records that may have failed though the destination has them: it cannot be asked.
    var doubtful: Set<UInt64> = []

    /// Objects by key, each with what it holds.
    private(set) var objects: [String: [String]] = [:]
    /// Objects on the server's own disk, by key.
    private(set) var setAside: [String: [String]] = [:]
    /// How often the destination got a record, by the number of what was put.
    private(set) var received: [UInt64: Int] = [:]
    /// How often a manifest was loaded.
    private(set) var loads: [String: Int] = [:]
    /// What became of COPYs, by the token.
    private var copies: [String: Bool] = [:]

    /// Which records a destination never takes.
    static func isRefused(_ number: UInt64) -> Bool { number % 7 == 3 }
    /// Which records are refused before they are sent.
    static func isMalformed(_ number: UInt64) -> Bool { number % 11 == 5 }
    /// Which records a transform drops.
    static func isDropped(_ number: UInt64) -> Bool { number % 5 == 2 }
    /// Which records a transform fails at.
    static func failsProcessing(_ number: UInt64) -> Bool { number % 6 == 1 }

    /// Stores an object; false where the answer is lost, or there is none.
    mutating func put(
        _ key: String,
        _ content: [String],
        _ random: inout SeededGenerator,
        _ checks: inout Checks,
        mayChange: Bool = false
    ) -> Bool {
        guard isBucketUp, !random.chance(8) else { return false }
        if let old = objects[key] {
            checks.expect(old == content || mayChange, "a key has the same bytes in every attempt")
        }
        objects[key] = content
        return !random.chance(6)
    }

    /// Keeps an object on the server's own disk.
    mutating func keepAside(_ key: String, _ content: [String]) { setAside[key] = content }

    /// The keys of objects that hold something.
    func keys(of line: String) -> [String] {
        objects.merging(setAside) { first, _ in first }
            .filter { $0.value.contains(line) }.map(\.key).sorted()
    }

    /// Sends records: their fates, or nil where the answer is lost.
    mutating func send(
        _ numbers: [UInt64],
        _ random: inout SeededGenerator
    ) -> [RecordFate]? {
        let failure = DeliveryFailure(code: "Simulated", message: "down")
        guard isDestinationUp else { return numbers.map { _ in .failed(failure) } }
        var fates: [RecordFate] = []
        for number in numbers {
            if Self.isRefused(number) || isReadOnly {
                fates.append(.refused(failure))
            } else if random.chance(5) {
                fates.append(.failed(failure))
            } else {
                received[number, default: 0] += 1
                fates.append(.delivered)
            }
        }
        return random.chance(6) ? nil : fates
    }

    /// Says which records the destination got; nil where there is no answer.
    mutating func look(for numbers: [UInt64], _ random: inout SeededGenerator) -> [Bool]? {
        guard isDestinationUp, !random.chance(4) else { return nil }
        return numbers.map { received[$0, default: 0] > 0 }
    }

    /// Runs a COPY under a token: one that is known already is not run again.
    mutating func copy(
        _ manifest: String,
        token: String,
        _ random: inout SeededGenerator,
        _ checks: inout Checks
    ) -> CopyService.Outcome {
        let failure = DeliveryFailure(code: "Simulated", message: "down")
        guard isWarehouseUp else { return .notRun(failure) }
        if random.chance(8) { return .notRun(failure) }
        checks.expect(objects[manifest] != nil, "a manifest is stored before it is loaded")
        if copies[token] == nil {
            let isLoaded = !random.chance(3)
            copies[token] = isLoaded
            if isLoaded { loads[manifest, default: 0] += 1 }
        }
        checks.expect(loads[manifest, default: 0] <= 1, "a manifest is loaded once")
        if random.chance(4) { return .unknown(failure) }
        return copies[token] == true ? .loaded : .failed(failure)
    }
}

extension SeededGenerator {
    /// True once in so many times.
    mutating func chance(_ times: UInt64) -> Bool { next() % times == 0 }

    /// A number below a bound.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
