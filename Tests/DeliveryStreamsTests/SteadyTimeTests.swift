import Foundation
import Logging
import Platform
import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite struct SteadyTimeTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let wall = Timestamp(milliseconds: 1_800_000_000_000)
    private static let hour: Duration = .seconds(3600)

    private static let note = SteadyTime.Note(
        boot: "a",
        uptime: 500_000,
        wall: wall,
        steady: wall + .seconds(-7)
    )

    /// What a start adds to the steady time, where the clock says so much later than the note.
    private func added(
        _ wall: Duration,
        boot: String = "a",
        uptime: Duration,
        to note: SteadyTime.Note = note
    ) -> Duration {
        let resumed = SteadyTime.resumed(
            note,
            boot: boot,
            uptime: uptime.components.seconds * 1000,
            wall: note.wall + wall
        )
        return resumed - note.steady
    }

    @Test func `without a note, it is what the clock says`() {
        let first = SteadyTime.resumed(nil, boot: "a", uptime: 5, wall: Self.wall)
        #expect(first == Self.wall)
    }

    @Test func `over a restart of the server the machine's uptime counts, whatever the clock says`()
    {
        for wall in [Duration.zero, .seconds(30), Self.hour * 25, Self.hour * -25] {
            #expect(added(wall, uptime: .seconds(530)) == .seconds(30))
        }
    }

    @Test func `over a restart of the machine the clock counts, within bounds`() {
        let uptime: Duration = .seconds(60)
        #expect(added(.seconds(120), boot: "b", uptime: uptime) == .seconds(120))
        #expect(added(Self.hour * 25, boot: "b", uptime: uptime) == Self.hour + uptime)
        #expect(added(Self.hour * -25, boot: "b", uptime: uptime) == .zero)
        #expect(added(.seconds(90), uptime: .seconds(20)) == .seconds(90))
    }

    @Test func `a machine that does not say which run it is adds an hour at the most`() {
        var note = Self.note
        note.boot = ""
        let year = Self.hour * (24 * 365)
        #expect(added(.seconds(90), boot: "", uptime: year, to: note) == .seconds(90))
        #expect(added(Self.hour * 25, boot: "", uptime: year, to: note) == Self.hour)
    }

    @Test func `a note with impossible times is none`() {
        var note = Self.note
        note.steady = Timestamp(milliseconds: .max)
        let resumed = SteadyTime.resumed(note, boot: "a", uptime: 600_000, wall: Self.wall)
        #expect(resumed == Self.wall)
    }

    @Test func `it goes on where it was written down`() async throws {
        let folder = TemporaryFolder()
        let first = SteadyTime(folder: folder.path, Self.quiet)
        let begun = first.steady()
        #expect(abs((begun - first.now()) / .milliseconds(1)) < 10_000)
        try first.note()
        let second = SteadyTime(folder: folder.path, Self.quiet)
        #expect(second.steady() >= begun)
        #expect(second.steady() - begun < .seconds(60))
        try Folder.replaceFile(folder("clock"), with: [1, 2, 3])
        #expect(SteadyTime(folder: folder.path, Self.quiet).steady() >= begun)
    }
}
