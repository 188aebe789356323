internal import Glibc
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// Reads what transforms write to their standard error, and puts it into the log: so many lines a
/// second, the rest counted.
final class OutputLog: Sendable {
    /// Whose lines they are: one for all processes of a stream's transform, which share its rate.
    final class Source: Sendable {
        let stream: String
        let transform: String
        fileprivate let rate = Mutex(LineRate())

        init(stream: String, transform: String) {
            self.stream = stream
            self.transform = transform
        }
    }

    private let logger: Logger
    private let time: any TimeSource
    private let wakeEnd: Int32
    private let arriving: Mutex<Arriving>
    private let thread = Mutex<pthread_t?>(nil)

    private struct Arriving {
        var followed: [Followed] = []
        var lastNumber = 0
        /// Of processes that have ended: what they left behind may keep writing for a moment.
        var ended: Set<Int> = []
        var isClosed = false
    }

    fileprivate struct Followed {
        var number: Int
        var descriptor: Int32
        var source: Source
        var deadline: ContinuousClock.Instant?
        var line = LineSplitter()
    }

    /// Starts the thread that reads.
    init(logger: Logger, time: any TimeSource) {
        self.logger = logger
        self.time = time
        guard let pipe = Pipe() else { preconditionFailure("a pipe can be made at start") }
        for end in [pipe.read, pipe.write] { Pipe.setNonBlocking(end) }
        wakeEnd = pipe.write
        let wake = pipe.read
        arriving = Mutex(Arriving())
        thread.withLock { $0 = startThread { self.read(wake) } }
    }

    /// Reads a descriptor to its end, then closes it.
    ///
    /// - Returns: What `processEnded` takes.
    func follow(_ descriptor: Int32, _ source: Source) -> Int {
        Pipe.setNonBlocking(descriptor)
        let number = arriving.withLock { arriving -> Int? in
            guard !arriving.isClosed else { return nil }
            arriving.lastNumber += 1
            let number = arriving.lastNumber
            arriving.followed.append(
                Followed(number: number, descriptor: descriptor, source: source)
            )
            return number
        }
        if number != nil { wake() } else { close(descriptor) }
        return number ?? 0
    }

    /// Whose output was followed has ended: a little later nothing is read any more, even where something
    /// that it left behind holds the other end.
    func processEnded(_ numbers: [Int]) {
        let isOpen = arriving.withLock { arriving in
            arriving.ended.formUnion(numbers)
            return !arriving.isClosed
        }
        if isOpen { wake() }
    }

    /// Ends the thread.
    func shutDown() {
        arriving.withLock { $0.isClosed = true }
        wake()
        if let thread = thread.withLock({ $0.take() }) { pthread_join(thread, nil) }
        close(wakeEnd)
    }

    private func wake() {
        var byte: UInt8 = 0
        _ = write(wakeEnd, &byte, 1)
    }

    private func read(_ wake: Int32) {
        var followed: [Followed] = []
        /// Sources of which lines were left out that nobody was told of yet.
        var silenced: [Source] = []
        var space = [UInt8](repeating: 0, count: 64 * 1024)
        defer {
            for each in followed { close(each.descriptor) }
            close(wake)
        }
        while true {
            let (isClosed, ended) = arriving.withLock { arriving in
                followed += arriving.followed
                arriving.followed = []
                defer { arriving.ended = [] }
                return (arriving.isClosed, arriving.ended)
            }
            let now = time.instant()
            for index in followed.indices.reversed() {
                if ended.contains(followed[index].number) {
                    followed[index].deadline = now + .seconds(1)
                }
                guard let deadline = followed[index].deadline, deadline < now else { continue }
                close(followed[index].descriptor)
                followed.remove(at: index)
            }
            let isHurried = !silenced.isEmpty || followed.contains { $0.deadline != nil }
            if isClosed { return }
            var polled = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            polled += followed.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            let ready = poll(&polled, nfds_t(polled.count), isHurried ? 200 : -1)
            silenced = silenced.filter { !reportSilence(of: $0) }
            guard ready > 0 else { continue }
            if polled[0].revents != 0 { _ = Glibc.read(wake, &space, space.count) }
            var isFlooded = false
            for index in followed.indices.reversed() where polled[index + 1].revents != 0 {
                var isSilenced = false
                let isOpen = take(&followed[index], &space, &isSilenced)
                if isSilenced {
                    isFlooded = true
                    let source = followed[index].source
                    if !silenced.contains(where: { $0 === source }) { silenced.append(source) }
                }
                if !isOpen {
                    close(followed[index].descriptor)
                    followed.remove(at: index)
                }
            }
            // Who writes without end is slowed down, and does not keep a processor busy here.
            if isFlooded { usleep(5000) }
        }
    }

    /// Reads what is there once; false at its end.
    private func take(
        _ followed: inout Followed,
        _ space: inout [UInt8],
        _ isSilenced: inout Bool
    ) -> Bool {
        let count = Glibc.read(followed.descriptor, &space, space.count)
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        let source = followed.source
        followed.line.add(space[..<max(0, count)], isEnd: count == 0) { line in
            if source.rate.withLock({ $0.take(at: time.instant()) }) {
                logger.info(
                    "transform says",
                    metadata: [
                        "stream": "\(source.stream)", "transform": "\(source.transform)",
                        "line": "\(line)",
                    ]
                )
            } else {
                isSilenced = true
            }
        }
        return count > 0
    }

    /// Says how much of a source was left out, where it is time; true where nothing is left to say.
    private func reportSilence(of source: Source) -> Bool {
        let leftOut = source.rate.withLock { $0.takeLeftOut(at: time.instant()) }
        guard let leftOut else { return false }
        logger.warning(
            "transform says more than is logged",
            metadata: [
                "stream": "\(source.stream)", "transform": "\(source.transform)",
                "lines_left_out": "\(leftOut)",
            ]
        )
        return true
    }
}

/// Lines a second that one stream's transform may log, with bursts.
struct LineRate {
    private static let perSecond = 20.0
    private static let burst = 100.0
    private var tokens = LineRate.burst
    private var last: ContinuousClock.Instant?
    private var leftOut = 0
    private var silentSince: ContinuousClock.Instant?

    /// Whether a line may be logged.
    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        let elapsed = last.map { now - $0 } ?? .zero
        last = now
        tokens = min(Self.burst, tokens + elapsed / .seconds(1) * Self.perSecond)
        guard tokens >= 1 else {
            leftOut += 1
            if silentSince == nil { silentSince = now }
            return false
        }
        tokens -= 1
        return true
    }

    /// How many lines were not logged, a second after the first of them; nil before.
    mutating func takeLeftOut(at now: ContinuousClock.Instant) -> Int? {
        guard let since = silentSince, now - since >= .seconds(1) else { return nil }
        defer {
            leftOut = 0
            silentSince = nil
        }
        return leftOut
    }
}

/// Cuts bytes into lines for a log: of bounded length, without control characters.
struct LineSplitter {
    static let maximumLineBytes = 1024
    private var line: [UInt8] = []
    private var isCut = false

    /// Takes bytes, and gives each line that is complete to `body`; at the end, what is left.
    mutating func add(_ bytes: ArraySlice<UInt8>, isEnd: Bool, _ body: (String) -> Void) {
        var rest = bytes
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            keep(rest[..<newline])
            give(body)
            rest = rest[(newline + 1)...]
        }
        keep(rest)
        if isEnd, !line.isEmpty { give(body) }
    }

    private mutating func keep(_ part: ArraySlice<UInt8>) {
        let room = Self.maximumLineBytes - line.count
        line += part.prefix(room)
        if part.count > room { isCut = true }
    }

    private mutating func give(_ body: (String) -> Void) {
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        let clean = line.map { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }
        body(String(decoding: clean, as: UTF8.self) + (isCut ? "..." : ""))
        line.removeAll(keepingCapacity: true)
        isCut = false
    }
}
