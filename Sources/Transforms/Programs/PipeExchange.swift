internal import Glibc
internal import Platform

/// Writes an event to a process and reads its response, both at once, until the process is given up.
struct PipeExchange: ~Copyable {
    /// Where a response ends.
    enum End {
        /// At the end of standard output, and of the process, whose status must be 0.
        case process
        /// At the end of a line.
        case line
    }

    private let child: ChildProcess
    private let event: TransformEvent
    private let end: End
    private let limit: Int
    private var written = 0
    private var response: Block.Builder
    private var isOutputOpen = true
    private var hasExited = false
    /// Whether the last line came together with the end.
    private var isComplete = false

    private init(
        _ child: ChildProcess,
        _ event: TransformEvent,
        _ end: End,
        limit: Int
    ) {
        self.child = child
        self.event = event
        self.end = end
        self.limit = limit
        response = Block.Builder(
            capacity: min(limit, max(event.lineBytes, 64 * 1024)) + 2
        )
    }

    /// Makes an exchange on a thread of its own.
    ///
    /// - Parameters:
    ///   - child: The process.
    ///   - event: The event, which it gets on one line.
    ///   - end: Where the response ends.
    ///   - limit: Bytes of the response at the most.
    /// - Returns: The response.
    /// - Throws: `InvocationFailure`; then the process is not to be used again.
    static func run(
        _ child: ChildProcess,
        _ event: TransformEvent,
        _ end: End,
        limit: Int
    ) async throws(InvocationFailure) -> Block {
        let result = await withCheckedContinuation { continuation in
            let isStarted = detachThread {
                continuation.resume(
                    returning: Result { () throws(InvocationFailure) in
                        try PipeExchange(child, event, end, limit: limit).run()
                    }
                )
            }
            guard !isStarted else { return }
            let failure = InvocationFailure(.functionError, "the system has no thread left")
            continuation.resume(returning: .failure(failure))
        }
        return try result.get()
    }

    private consuming func run() throws(InvocationFailure) -> Block {
        if end == .line { try checkSilence() }
        while true {
            try wait()
            if isOutputOpen, try read() { return response.build() }
            if hasExited {
                try drain()
                if !isComplete { try checkStatus() }
                return response.build()
            }
            writeSome()
            if end == .line, !isOutputOpen {
                throw InvocationFailure(.functionError, "it closed its standard output")
            }
            if end == .line, written < event.lineBytes, child.input == nil {
                throw InvocationFailure(.functionError, "it closed its standard input")
            }
        }
    }

    /// A worker that says something unasked has lost its place.
    private func checkSilence() throws(InvocationFailure) {
        var output = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
        guard poll(&output, 1, 0) > 0 else { return }
        var byte: UInt8 = 0
        // A byte that is read is not missed: the process is done with.
        guard output.revents & Int16(POLLIN) != 0, Glibc.read(child.output, &byte, 1) == 1 else {
            throw InvocationFailure(
                .functionError,
                child.end ?? "it closed its standard output",
                hasBegun: false
            )
        }
        throw InvocationFailure(.functionError, "it wrote more than one line for an event")
    }

    /// Waits until something can be done.
    private mutating func wait() throws(InvocationFailure) {
        var polled = [pollfd(fd: child.exit, events: Int16(POLLIN), revents: 0)]
        if isOutputOpen {
            polled.append(pollfd(fd: child.output, events: Int16(POLLIN), revents: 0))
        }
        if written < event.lineBytes, let input = child.input {
            polled.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0))
        }
        let count = poll(&polled, nfds_t(polled.count), -1)
        if child.isGivenUp {
            throw InvocationFailure(.functionError, "it did not answer in time")
        }
        if count > 0, polled[0].revents != 0 { hasExited = true }
    }

    /// Reads what is there; true where the response is complete.
    private mutating func read() throws(InvocationFailure) -> Bool {
        while true {
            if response.count == response.capacity { enlarge() }
            let room = response.room
            let count = Glibc.read(child.output, room.baseAddress, room.count)
            if count < 0 {
                guard errno == EINTR else { return false }  // nothing there now
                continue
            }
            if count == 0 {
                isOutputOpen = false
                return false
            }
            let start = response.count
            response.advance(by: count)
            // Its newline is not part of a response.
            guard response.count <= limit + (end == .line ? 1 : 0) else {
                throw InvocationFailure(
                    .functionError,
                    "the response is larger than \(limit) bytes"
                )
            }
            if end == .line, try takeLine(from: start) { return true }
        }
    }

    private mutating func takeLine(from start: Int) throws(InvocationFailure) -> Bool {
        guard let newline = firstNewline(from: start) else { return false }
        guard newline == response.count - 1 else {
            throw InvocationFailure(.functionError, "it wrote more than one line for an event")
        }
        guard written == event.lineBytes else {
            throw InvocationFailure(.functionError, "it answered before it had read the event")
        }
        response.truncate(to: newline)
        return true
    }

    /// Reads the rest of what a process left; what it started does not hold the pipe open, as it was
    /// killed with it.
    private mutating func drain() throws(InvocationFailure) {
        guard isOutputOpen else { return }
        if try read() {
            // A last line before the end is a response all the same.
            isOutputOpen = false
            isComplete = true
        }
    }

    private func checkStatus() throws(InvocationFailure) {
        let reason = child.end ?? "it ended"
        guard end == .process, reason == ChildProcess.success else {
            throw InvocationFailure(.functionError, reason)
        }
    }

    private mutating func writeSome() {
        while written < event.lineBytes {
            // Who does not want the rest need not take it.
            guard let count = event.withLine(from: written, { child.write($0) }) else {
                return child.closeInput()
            }
            if count == 0 { return }
            written += count
        }
        if end == .process { child.closeInput() }
    }

    private mutating func enlarge() {
        var larger = Block.Builder(capacity: min(limit + 2, 2 * response.count))
        larger.append(response.bytes)
        response = larger
    }

    private func firstNewline(from start: Int) -> Int? {
        guard let base = response.bytes.baseAddress,
            let found = memchr(
                UnsafeMutableRawPointer(mutating: base) + start,
                Int32(UInt8(ascii: "\n")),
                response.count - start
            )
        else { return nil }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }
}
