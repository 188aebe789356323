internal import CCurl
internal import Glibc
internal import Platform
internal import Synchronization

/// An HTTP/1.1 client: libcurl's multi interface on one thread of its own, connections kept and
/// reused.
package final class HTTPClient: Sendable {
    private let commands: CommandQueue
    private let thread: pthread_t

    /// A client that opens at most `maximumConnections` at a time, and so many to one host; further
    /// requests wait.
    package init(maximumConnections: Int = 64, maximumPerHost: Int = 64) {
        // Once in a process; curl counts.
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard let multi = curl_multi_init() else {
            preconditionFailure("curl_multi_init failed: out of memory")
        }
        hydrant_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, maximumConnections)
        hydrant_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, maximumPerHost)
        hydrant_multi_set_long(multi, CURLMOPT_MAXCONNECTS, min(maximumConnections, 256))
        let commands = CommandQueue(multi: multi)
        self.commands = commands
        thread = startThread { PollLoop(commands).run() }
    }

    /// Sends a request and gives the whole answer, whatever its status.
    ///
    /// - Throws: `EgressError` where no whole answer came, `CancellationError` when the task is
    ///   cancelled; the connection is closed then.
    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try request.check()
        let ticket = commands.newTicket()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                commands.add(.start(ticket, Transfer(request, continuation)))
            }
        } onCancel: {
            commands.add(.cancel(ticket))
        }
    }

    /// Ends what is under way with `CancellationError`, closes all connections and waits for the
    /// thread.
    ///
    /// Call once, last.
    package func shutDown() {
        commands.add(.stop)
        pthread_join(thread, nil)
    }
}

/// What the poll thread is told to do.
///
/// Unchecked because of the multi handle: only its wake-up, which curl declares thread-safe, is
/// called from outside the poll thread.
final class CommandQueue: @unchecked Sendable {
    enum Command {
        case start(Int, Transfer)
        case cancel(Int)
        case stop
    }

    fileprivate let multi: UnsafeMutableRawPointer
    private struct State {
        var commands: [Command] = []
        var lastTicket = 0
        var isStopped = false
    }
    private let state = Mutex(State())

    init(multi: UnsafeMutableRawPointer) { self.multi = multi }

    deinit { curl_multi_cleanup(multi) }

    func newTicket() -> Int {
        state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
    }

    func add(_ command: Command) {
        let isStopped = state.withLock { state in
            if !state.isStopped { state.commands.append(command) }
            return state.isStopped
        }
        guard isStopped else {
            curl_multi_wakeup(multi)
            return
        }
        if case .start(_, let transfer) = command { transfer.cancel() }
    }

    fileprivate func take() -> [Command] {
        state.withLock { state in
            defer { state.commands.removeAll() }
            return state.commands
        }
    }

    /// What came in after the last `take`; from now on nothing does.
    fileprivate func stop() -> [Command] {
        state.withLock { state in
            state.isStopped = true
            defer { state.commands.removeAll() }
            return state.commands
        }
    }
}

/// The poll thread: the only one that touches the handles.
private struct PollLoop {
    private let commands: CommandQueue
    private var multi: UnsafeMutableRawPointer { commands.multi }
    /// Transfers by their handle, and handles by ticket, for cancellation.
    private var running: [UnsafeMutableRawPointer: (ticket: Int, transfer: Transfer)] = [:]
    private var handles: [Int: UnsafeMutableRawPointer] = [:]
    /// Tickets that were cancelled before they started.
    private var cancelledEarly: Set<Int> = []
    private var idle: [UnsafeMutableRawPointer] = []

    init(_ commands: CommandQueue) { self.commands = commands }

    consuming func run() {
        var isStopping = false
        while !isStopping {
            for command in commands.take() { isStopping = handle(command) || isStopping }
            var count: Int32 = 0
            curl_multi_perform(multi, &count)
            finishDone()
            if !isStopping { curl_multi_poll(multi, nil, 0, 60_000, nil) }
        }
        for command in commands.stop() { _ = handle(command) }
        for ticket in Array(handles.keys) { cancel(ticket) }
        for easy in idle { curl_easy_cleanup(easy) }
    }

    private mutating func handle(_ command: CommandQueue.Command) -> Bool {
        switch command {
        case .start(let ticket, let transfer): start(ticket, transfer)
        case .cancel(let ticket): cancel(ticket)
        case .stop: return true
        }
        return false
    }

    private mutating func start(_ ticket: Int, _ transfer: Transfer) {
        guard cancelledEarly.remove(ticket) == nil else { return transfer.cancel() }
        guard let easy = idle.popLast() ?? curl_easy_init() else {
            preconditionFailure("curl_easy_init failed: out of memory")
        }
        transfer.prepare(easy)
        running[easy] = (ticket, transfer)
        handles[ticket] = easy
        curl_multi_add_handle(multi, easy)
    }

    private mutating func cancel(_ ticket: Int) {
        guard let easy = handles[ticket] else {
            // Either it has ended, or the cancellation overtook the start: tickets rise, so what
            // is remembered in vain is dropped when it grows.
            if cancelledEarly.count > 1024 { cancelledEarly.removeAll() }
            cancelledEarly.insert(ticket)
            return
        }
        retire(easy)?.cancel()
    }

    private mutating func finishDone() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard hydrant_message_kind(message) == CURLMSG_DONE,
                let easy = hydrant_message_easy(message)
            else { continue }
            let result = hydrant_message_result(message)
            guard let transfer = running[easy]?.transfer else { continue }
            transfer.finish(easy, result: result)
            _ = retire(easy)
        }
    }

    private mutating func retire(_ easy: UnsafeMutableRawPointer) -> Transfer? {
        curl_multi_remove_handle(multi, easy)
        curl_easy_reset(easy)
        idle.append(easy)
        guard let (ticket, transfer) = running.removeValue(forKey: easy) else { return nil }
        handles[ticket] = nil
        return transfer
    }
}
