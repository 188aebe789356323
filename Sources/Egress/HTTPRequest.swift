package import Platform

/// A request to send.
package struct HTTPRequest: Sendable {
    /// What goes up with it.
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// The first `count` bytes of a file or the like, read while they are sent.
        case source(any ByteSource, count: UInt64)
    }

    /// The method, upper case.
    package var method: String
    /// The URL, percent-encoded; it goes over the wire as it is.
    package var url: String
    /// Headers in order; curl adds `Host`, where it is missing, and `Content-Length`.
    package var headers: [(name: String, value: String)]
    /// What goes up.
    package var body: Body
    /// How long the whole exchange may take.
    package var timeout: Duration
    /// How long not a byte may move.
    package var stallTimeout: Duration
    /// A PEM file with the authorities that the server's certificate may be of; nil for the
    /// system's.
    package var certificateAuthorities: String?
    /// How long the answer's body may be; a longer one is an error.
    package var maximumResponseBytes: Int
    /// Takes the answer's body in place of the response's `body`; nil keeps it there.
    package var responseReader: (any ResponseReader)?

    /// A request.
    package init(
        method: String,
        url: String,
        headers: [(name: String, value: String)] = [],
        body: Body = .none,
        timeout: Duration = .seconds(60),
        stallTimeout: Duration = .seconds(30),
        maximumResponseBytes: Int = 1024 * 1024,
        responseReader: (any ResponseReader)? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.stallTimeout = stallTimeout
        self.maximumResponseBytes = maximumResponseBytes
        self.responseReader = responseReader
    }
}

/// Reads an answer's body while it comes.
///
/// One exchange calls it, on one thread at a time, and is over before `send` returns.
package protocol ResponseReader: AnyObject, Sendable {
    /// Takes the next bytes, which are valid during the call alone.
    ///
    /// - Returns: False where it has seen enough: the exchange ends with `responseRefused`.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool
}

extension HTTPRequest {
    /// Refuses what would be read as further lines of the request's head.
    func check() throws(EgressError) {
        let parts = [method, url] + headers.flatMap { [$0.name, $0.value] }
        let isClean = parts.allSatisfy { part in
            !part.utf8.contains { $0 == 0 || $0 == 0x0a || $0 == 0x0d }
        }
        guard isClean else {
            throw EgressError(kind: .other, message: "a line break in the request's head")
        }
    }
}

/// An answer.
package struct HTTPResponse: Sendable {
    /// The status code.
    package var status: Int
    /// Headers in order, as they came.
    package var headers: [(name: String, value: String)]
    /// The body; empty where a reader took it.
    package var body: [UInt8]
    /// Whether the request was sent before, on a connection that ended without an answer: the peer may
    /// have done then what it says now that it did not do.
    package var isResent: Bool

    /// An answer.
    package init(
        status: Int,
        headers: [(name: String, value: String)],
        body: [UInt8],
        isResent: Bool = false
    ) {
        self.isResent = isResent
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first header of that name, in any case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// An exchange that ended without a whole answer.
package struct EgressError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of end, out of a fixed set.
    package enum Kind: String, Sendable {
        /// The host's name has no address.
        case unresolved = "Unresolved"
        /// No connection could be made.
        case unreachable = "Unreachable"
        /// It took longer than the request allowed.
        case timeout = "Timeout"
        /// The connection broke.
        case connectionLost = "ConnectionLost"
        /// TLS failed: certificate or handshake.
        case tls = "TLS"
        /// The answer is larger than the request allowed.
        case responseTooLarge = "ResponseTooLarge"
        /// The answer's reader did not want the rest of it.
        case responseRefused = "ResponseRefused"
        /// The body could not be read from its file.
        case bodyUnreadable = "BodyUnreadable"
        /// The answer was not HTTP, or something that curl does not do.
        case other = "Other"
    }

    /// What kind.
    package var kind: Kind
    /// What curl says.
    package var message: String
    /// Whether some of the request's body was sent, if only in an attempt that curl has made anew: on a
    /// connection that was kept open, and had ended.
    package var hasSent = false

    /// An error.
    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { "\(kind.rawValue): \(message)" }
}

extension EgressError {
    /// Whether the peer may have done what it was asked to.
    package var mayHaveArrived: Bool {
        if hasSent { return true }
        return switch kind {
        case .unresolved, .unreachable, .tls, .bodyUnreadable: false
        case .timeout, .connectionLost, .responseTooLarge, .responseRefused, .other: true
        }
    }
}
