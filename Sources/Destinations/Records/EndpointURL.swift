internal import Foundation
internal import Records
internal import SigV4

/// A destination's endpoint: `http://` or `https://`, who we are there, host, port and path.
package struct EndpointURL: Sendable, Hashable {
    /// Scheme, host, port and path, with no slash at the end, and nothing secret.
    package private(set) var text: String
    let scheme: String
    /// Host, with the port where it is given.
    let authority: String
    /// Without a slash at its end.
    let path: String
    /// `name:password` of the URL, decoded.
    let userInfo: String?
    /// Whether the URL says who we are.
    package var hasUserInfo: Bool { userInfo != nil }

    /// Reads a URL; nil where it is none of that kind.
    package init?(_ url: String) {
        guard let mark = url.range(of: "://") else { return nil }
        scheme = url[..<mark.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        var rest = url[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        if let at = rest[..<end].lastIndex(of: "@") {
            userInfo = URIEncoding.decode(rest[..<at])
            rest = rest[rest.index(after: at)...]
        } else {
            userInfo = nil
        }
        let slash = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        authority = String(rest[..<slash])
        var path = String(rest[slash...])
        let isPlain = url.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        guard !authority.isEmpty, isPlain, Self.hasPort(authority), !path.contains("#") else {
            return nil
        }
        while path.hasSuffix("/") { path.removeLast() }
        self.path = path
        text = "\(scheme)://\(authority)\(path)"
    }

    /// Whether what stands behind the host, if anything, is a port.
    private static func hasPort(_ authority: String) -> Bool {
        let end = authority.lastIndex(of: "]") ?? authority.startIndex
        guard let colon = authority[end...].firstIndex(of: ":") else { return true }
        let digits = authority[authority.index(after: colon)...]
        guard let port = Int(digits), digits.allSatisfy(\.isNumber) else { return false }
        return (1...65535).contains(port)
    }

    /// The host, without the port.
    var host: String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return String(authority[...end])
        }
        return String(authority.prefix { $0 != ":" })
    }
}
