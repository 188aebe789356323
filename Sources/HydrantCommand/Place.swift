internal import Foundation

/// Paths on the command line.
enum Place {
    /// A path without regard to the working directory, and without `.` and `..`.
    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }
}
