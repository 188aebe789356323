internal import Foundation
internal import Platform

/// A folder for one test, removed with the last reference.
package final class TemporaryFolder: Sendable {
    /// Where it is.
    package let path: String

    /// Makes a new folder.
    package init() {
        path = FileManager.default.temporaryDirectory.path + "/hydrant-test-" + UUID().uuidString
        do {
            try Folder.create(path)
        } catch {
            preconditionFailure("no temporary folder: \(error)")
        }
    }

    deinit {
        do {
            try Folder.remove(path)
        } catch {
            print("the temporary folder \(path) stays behind: \(error)")
        }
    }

    /// A path in the folder.
    package func callAsFunction(_ name: String) -> String { path + "/" + name }
}
