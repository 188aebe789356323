internal import Delivery
internal import DeliveryStreams
internal import DurableLog
internal import Encryption
internal import Foundation
internal import Platform
internal import Records

/// `hydrant check`: what is wrong with a data folder, stream by stream, and what can be done.
struct FolderCheck {
    let folder: String
    let findings = Findings()

    /// Prints what it finds, and gives whether all can be opened.
    func run() throws -> Bool {
        guard Folder.exists(folder) else {
            try findings.say(.fail, "data folder", "\(folder) does not exist")
            return try findings.conclude()
        }
        if try LocalCheck(findings).dataFolder(folder) {
            try findings.say(
                .warn,
                "data folder",
                "a server changes its files meanwhile: stop it for a reliable result"
            )
        }
        for stream in try StreamFolder.all(in: folder) { try check(stream) }
        return try findings.conclude()
    }

    private func check(_ stream: StreamFolder) throws {
        let subject = "stream \(stream.name)"
        if let failure = stream.configurationFailure {
            try findings.say(
                .fail,
                subject,
                "\(failure). Restore \(stream.path)/stream.json from a backup: the stream's records are "
                    + "not affected"
            )
        }
        for log in stream.logs where Folder.exists(log) {
            try check(log, stream.ways(outOf: log), subject)
        }
    }

    private func check(_ log: String, _ ways: [StreamFolder.Way], _ subject: String) throws {
        let found: LogExamination
        do {
            found = try LogExamination(folder: log)
        } catch {
            return try findings.say(.fail, subject, "\(error)")
        }
        var isOpened = found.checkpoints.isEmpty
        for finding in found.checkpoints {
            let journals = ways.filter { finding.place == "\(log)/\($0.reader).checkpoint" }
            try findings.say(
                .fail,
                subject,
                "\(finding.place): \(finding.reason). Stop the server and remove that file"
                    + journals.map { " and the files in \($0.journal)" }.joined()
                    + ": what is left of the log is delivered again from its beginning, under new keys"
            )
        }
        for way in ways {
            for problem in way.problems(checkpoint: found.marks[way.reader]) {
                isOpened = false
                try findings.say(
                    .fail,
                    subject,
                    "\(problem). Stop the server and remove that file and those beside it with higher "
                        + "numbers: their records are delivered again, under new keys"
                )
            }
        }
        for finding in found.doubts {
            try findings.say(
                .warn,
                subject,
                "\(finding.place): \(finding.reason). The last delivered records may be delivered again"
            )
        }
        for finding in found.damage {
            try findings.say(
                .warn,
                subject,
                "\(finding.place): \(finding.reason). The server keeps what is left of it in "
                    + "\(folder)/set-aside, and delivers the rest of the log"
            )
        }
        let passed = ways.first.flatMap { found.marks[$0.reader] }?.records ?? 0
        let waiting = max(found.end.records, passed) - passed
        try findings.say(
            isOpened ? .ok : .warn,
            subject,
            "\(log): \(found.segments) segments, \(found.records) records can be read, "
                + "\(waiting) wait for delivery"
        )
    }
}
