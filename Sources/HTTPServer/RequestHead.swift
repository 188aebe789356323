internal import NIOHTTP1

/// A request's head, as services see it.
package struct RequestHead: Sendable {
    private let head: HTTPRequestHead

    init(_ head: HTTPRequestHead) { self.head = head }

    /// The value of the first header with a name, in any case.
    package func header(_ name: String) -> String? { head.headers.first(name: name) }
}
