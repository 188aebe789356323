internal import Foundation
internal import Glibc
package import Logging
package import Platform
package import Records

/// The system's clock, with a steady time that a data folder keeps over restarts.
package final class SteadyTime: TimeSource {
    /// How things were when they were last written down.
    struct Note: Codable, Hashable {
        /// Which run of the machine it was.
        var boot: String
        /// Milliseconds since the machine was started, sleep included.
        var uptime: Int64
        var wall: Timestamp
        var steady: Timestamp
    }

    /// How often it is written down.
    private static let interval: Duration = .seconds(60)
    /// What a restart of the machine may add beyond its new uptime: nobody knows how long it was off, and
    /// the wall clock may be wrong.
    private static let longestGap: Duration = .seconds(3600)

    private let path: String
    private let start: (uptime: Int64, steady: Timestamp)
    private let boot: String
    private let system = SystemTime()

    /// Goes on where a folder's note says; without one, the time is what the wall clock says.
    ///
    /// One that cannot be read is as none.
    package init(folder: String, _ logger: Logger) {
        path = folder + "/clock"
        boot = Self.bootIdentity
        var note: Note?
        if Folder.exists(path) {
            do {
                note = try JSONDecoder().decode(Note.self, from: Data(Folder.readFile(path)))
            } catch {
                logger.warning(
                    "the clock file cannot be read: retry durations count by the wall clock as it is now",
                    metadata: ["path": "\(path)", "error": "\(error)"]
                )
            }
        }
        let uptime = Self.uptime()
        start = (uptime, Self.resumed(note, boot: boot, uptime: uptime, wall: system.now()))
    }

    /// The steady time at a start of the server.
    static func resumed(
        _ note: Note?,
        boot: String,
        uptime: Int64,
        wall: Timestamp
    ) -> Timestamp {
        let sane = Int64(0)...Int64(1) << 50
        guard let note, sane.contains(note.steady.milliseconds), sane.contains(note.uptime),
            sane.contains(note.wall.milliseconds)
        else { return wall }
        if !boot.isEmpty, note.boot == boot, uptime >= note.uptime {
            return note.steady + .milliseconds(uptime - note.uptime)
        }
        // On another machine, the uptime says nothing of how long it was: it is a bound alone.
        let most = boot.isEmpty ? longestGap : .milliseconds(uptime) + longestGap
        let gap = min(max(.zero, wall - note.wall), most)
        return note.steady + gap
    }

    private static var bootIdentity: String {
        // procfs reports its size as 0.
        let file = try? File("/proc/sys/kernel/random/boot_id", .read)
        let bytes = try? file?.read(64, at: 0)
        return String(decoding: bytes ?? [], as: UTF8.self)
    }

    private static func uptime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    package func now() -> Timestamp { system.now() }

    package func steady() -> Timestamp {
        start.steady + .milliseconds(Self.uptime() - start.uptime)
    }

    package func sleep(until moment: Timestamp) async throws {
        try await system.sleep(for: max(.zero, moment - steady()))
    }

    package func instant() -> ContinuousClock.Instant { system.instant() }

    package func sleep(for duration: Duration) async throws {
        try await system.sleep(for: duration)
    }

    /// Writes down how things are.
    ///
    /// Blocks.
    package func note() throws {
        let note = Note(boot: boot, uptime: Self.uptime(), wall: now(), steady: steady())
        try Folder.replaceFile(path, with: [UInt8](JSONEncoder().encode(note)))
    }

    /// Writes it down now and then, until the task is cancelled.
    package func keep(on threads: WorkerThreads, _ logger: Logger) async {
        while true {
            do {
                try await threads.run { [self] _ in try note() }
            } catch is CancellationError {
                return
            } catch {
                logger.warning(
                    "the clock file cannot be written: over a restart, retries may last longer",
                    metadata: ["error": "\(error)"]
                )
            }
            do {
                try await system.sleep(for: Self.interval)
            } catch {
                return
            }
        }
    }
}
