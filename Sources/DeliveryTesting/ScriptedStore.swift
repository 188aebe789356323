package import Destinations
package import Platform
package import Records
internal import Synchronization

/// A store that keeps objects in memory and answers as a test scripts it.
package final class ScriptedStore: ObjectStore {
    /// A PUT that arrived.
    package struct Put: Sendable {
        /// What was to be written.
        package var plan: ObjectPlan
        /// The content.
        package var content: [UInt8]
    }

    private struct State {
        var puts: [Put] = []
        var objects: [String: [UInt8]] = [:]
        var watchers: [Int: (puts: Int, continuation: CheckedContinuation<Void, Never>)] = [:]
        var lastWatcher = 0
    }
    private let state = Mutex(State())
    private let script: @Sendable (_ put: Int, _ plan: ObjectPlan) -> DeliveryOutcome

    /// A store whose n-th PUT, counted from 0, ends as `script` says.
    package init(
        _ script: @escaping @Sendable (_ put: Int, _ plan: ObjectPlan) -> DeliveryOutcome = {
            _,
            _ in
            .delivered
        }
    ) {
        self.script = script
    }

    package func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome {
        let content = try Self.content(of: object)
        let (outcome, watchers) = state.withLock { state in
            let outcome = script(state.puts.count, plan)
            state.puts.append(Put(plan: plan, content: content))
            if outcome == .delivered { state.objects[plan.key] = content }
            let count = state.puts.count
            let ready = state.watchers.filter { $0.value.puts <= count }
            for number in ready.keys { state.watchers[number] = nil }
            return (outcome, ready.values.map(\.continuation))
        }
        for watcher in watchers { watcher.resume() }
        return outcome
    }

    /// An object's content.
    package static func content(of object: SpooledObject) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { space.deallocate() }
        while UInt64(bytes.count) < object.byteCount {
            let count = try object.content.read(into: space, at: UInt64(bytes.count))
            guard count > 0 else { break }
            bytes += space[..<count]
        }
        return bytes
    }

    /// All PUTs so far, whatever became of them.
    package var puts: [Put] { state.withLock { $0.puts } }

    /// The stored objects by key.
    package var objects: [String: [UInt8]] { state.withLock { $0.objects } }

    /// Waits until so many PUTs have arrived, or for the task's cancellation: a test whose time is over fails,
    /// and does not hang.
    package func whenPuts(_ count: Int) async {
        let number = state.withLock { state in
            state.lastWatcher += 1
            return state.lastWatcher
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.puts.count >= count || Task.isCancelled { return true }
                    state.watchers[number] = (count, continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let watcher = state.withLock { $0.watchers.removeValue(forKey: number) }
            watcher?.continuation.resume()
        }
    }
}
