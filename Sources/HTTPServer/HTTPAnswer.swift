package import Logging
package import NIOCore

/// An answer, ready for the wire.
package struct HTTPAnswer {
    /// Makes an answer where it is called, which is on the connection's own thread.
    package typealias Maker = @Sendable () -> HTTPAnswer

    /// What the log says of an answer, beside its status.
    package struct LogEntry {
        /// What happened.
        package var message: Logger.Message
        /// To what.
        package var facts: Logger.Metadata

        /// An entry.
        package init(_ message: Logger.Message, _ facts: Logger.Metadata) {
            self.message = message
            self.facts = facts
        }
    }

    /// The HTTP status code.
    package var status: Int
    /// The body's media type.
    package var contentType: String
    /// The body.
    package var body: ByteBuffer
    /// The service's code of an error, for the log.
    package var errorCode: String?
    /// For the log at the level `debug`; nil where there is no more to say than that it was answered.
    package var logEntry: LogEntry?
    /// The methods that the path has, where the request's is not one of them (RFC 9110, section 15.5.6).
    var allowedMethods: String?

    /// An answer.
    package init(status: Int = 200, contentType: String, body: ByteBuffer) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}
