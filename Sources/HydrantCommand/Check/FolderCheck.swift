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
            try findings.say(.fail, "data folder", "\(folder) is not there")
            return try findings.conclude()
        }
        if try LocalCheck(findings).dataFolder(folder) {
            try findings.say(
                .warn,
                "data folder",
                "its files change while they are looked at: stop the server for a sure answer"
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
                "\(failure). Put back \(stream.path)/stream.json from a copy; its records are safe "
                    + "beside it"
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
                "\(finding.place): \(finding.reason). Without that file"
                    + journals.map { ", and without what is in \($0.journal)," }.joined()
                    + " what is left of the log is delivered from its beginning again, under other keys"
            )
        }
        for way in ways {
            for problem in way.problems(checkpoint: found.marks[way.reader]) {
                isOpened = false
                try findings.say(
                    .fail,
                    subject,
                    "\(problem). Without that file and those behind it (higher numbers), their records "
                        + "are delivered again, under other keys"
                )
            }
        }
        for finding in found.damage {
            try findings.say(
                .warn,
                subject,
                "\(finding.place): \(finding.reason). What is left of it is kept in "
                    + "\(folder)/set-aside when its turn comes, the rest is delivered"
            )
        }
        try findings.say(
            isOpened ? .ok : .warn,
            subject,
            "\(log): \(found.segments) segments, \(found.records) records can be read, "
                + "\(found.waiting) wait"
        )
    }
}
