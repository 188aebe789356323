internal import Foundation

/// Texts in JSON.
package enum JSONText {
    /// A text with its quotes.
    package static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let json = try? encoder.encode(text) else { return "\"\"" }  // every text has a form
        return String(decoding: json, as: UTF8.self)
    }
}
