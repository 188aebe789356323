internal import Foundation
internal import Platform
internal import Synchronization

/// Standard output and error, written to without buffers.
enum StandardStreams {
    /// Says something on standard error; nothing happens where nobody listens there.
    static func complain(_ text: String) {
        Array(text.utf8).withUnsafeBytes { _ = write(STDERR_FILENO, $0) }
    }

    /// Writes a line to standard output, or throws where it cannot be.
    static func print(_ line: String) throws(SystemError) {
        try output(Array((line + "\n").utf8))
    }

    /// Writes bytes to standard output, or throws where they cannot be.
    static func output(_ bytes: [UInt8]) throws(SystemError) {
        let isDone = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0) }
        guard isDone else { throw SystemError(.write, path: "standard output", code: errno) }
    }

    private static func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = Foundation.write(file, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }
}

/// Standard input, waited for with patience, until it ends or somebody asks to stop.
enum StandardInput {
    enum Event: Sendable {
        case bytes([UInt8])
        /// Nothing came in time.
        case nothing
        case end
        /// SIGINT or SIGTERM came: its number.
        case interrupted(Int32)
    }

    /// The end to read of a pipe that signals write their number to.
    private static let signals = Mutex<Int32>(-1)

    /// Has SIGINT and SIGTERM end the input, the first time; the second time, they end the process.
    static func catchSignals() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        signals.withLock { $0 = ends[0] }
        signalPipe = ends[1]
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                signal(number, SIG_DFL)
                var byte = UInt8(truncatingIfNeeded: number)
                _ = Foundation.write(signalPipe, &byte, 1)
            }
        }
    }

    /// Whether SIGINT or SIGTERM has come, and nobody took notice yet.
    static var isInterrupted: Bool {
        var descriptor = pollfd(
            fd: signals.withLock { $0 },
            events: Int16(POLLIN),
            revents: 0
        )
        return poll(&descriptor, 1, 0) > 0 && descriptor.revents & Int16(POLLIN) != 0
    }

    /// What comes next; waits for ever where the patience is nil.
    static func next(within patience: Duration?) throws -> Event {
        let pipe = signals.withLock { $0 }
        var descriptors = [
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: pipe, events: Int16(POLLIN), revents: 0),
        ]
        let milliseconds = patience.map {
            Int32(max(0, min(1e9, $0 / .milliseconds(1))).rounded(.up))
        }
        let ready = poll(&descriptors, 2, milliseconds ?? -1)
        if descriptors[1].revents != 0 {
            var byte: UInt8 = 0
            _ = read(pipe, &byte, 1)
            return .interrupted(Int32(byte))
        }
        if ready <= 0 { return .nothing }
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 20) { space, count in
            repeat {
                result = read(STDIN_FILENO, space.baseAddress, space.count)
            } while result < 0 && errno == EINTR
            count = max(0, result)
        }
        if result < 0, errno == EAGAIN { return .nothing }
        guard result >= 0 else { throw SystemError(.read, path: "standard input", code: errno) }
        return bytes.isEmpty ? .end : .bytes(bytes)
    }
}

/// Where the signal handler writes: it may touch nothing but plain memory.
///
/// Written once before the handler is set.
private nonisolated(unsafe) var signalPipe: Int32 = -1
