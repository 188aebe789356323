package import Encryption
internal import Platform
package import Records

/// The folders of logs, looked at and not changed; a log's name is the path of its folder.
package struct LogFolders: RecordLogInspection {
    private let masterKeys: MasterKeys?

    /// Folders whose records are encrypted under these keys.
    package init(masterKeys: MasterKeys?) { self.masterKeys = masterKeys }

    package var masterKeyFailure: LogKeyFailure? {
        masterKeys == nil ? LogKeyFailure(.noMasterKey) : nil
    }

    package func exists(_ name: String) -> Bool { Folder.exists(name) }

    package func encryptionFailure(of name: String) -> LogKeyFailure? {
        guard Folder.exists(name + "/" + EncryptionKeys.fileName) else { return nil }
        do {
            let segments = try Folder.list(name).filter { $0.hasSuffix(Segment.suffix) }.sorted()
            for segment in segments {
                let file = try File(name + "/" + segment, .read)
                let bytes = try file.read(SegmentHeader.byteCount, at: 0)
                guard case .valid(let header) = SegmentHeader.decode(bytes) else { continue }
                return try EncryptionKeys.failure(name, header.logIdentity, masterKeys)
                    .map { LogKeyFailure($0) }
            }
            return nil
        } catch {
            return LogKeyFailure(code: .unreadable, message: "\(error)")
        }
    }
}

extension LogKeyFailure {
    /// The same in the log's words.
    init(_ failure: KeyFailure) {
        let code: Code =
            switch failure {
            case .noMasterKey: .noMasterKey
            case .unknownMasterKey: .unknownMasterKey
            case .missing: .missing
            case .damaged: .damaged
            }
        self.init(code: code, message: "\(failure)")
    }
}
