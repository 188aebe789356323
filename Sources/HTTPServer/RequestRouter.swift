internal import NIOHTTP1

/// Where requests go.
struct RequestRouter: Sendable {
    /// What a request is for.
    enum Route: Sendable {
        case service(any HTTPService)
        case page(StatusPage)
        case notFound
        /// The path has other methods.
        case methodNotAllowed(allowed: String)
    }

    private let services: [any HTTPService]
    /// By path.
    private let pages: [String: StatusPage]

    init(services: [any HTTPService], pages: [String: StatusPage]) {
        precondition(!services.isEmpty, "a server has a service")
        self.services = services
        self.pages = pages
    }

    /// The service that answers what is for none of them.
    var fallback: any HTTPService { services[0] }

    func route(_ head: HTTPRequestHead) -> Route {
        let path = Self.target(head.uri).utf8.prefix { $0 != UInt8(ascii: "?") }
        if path.count > 1, let page = pages[String(Substring(path))] {
            let isRead = head.method == .GET || head.method == .HEAD
            return isRead ? .page(page) : .methodNotAllowed(allowed: "GET, HEAD")
        }
        guard path.elementsEqual("/".utf8) || path.isEmpty else { return .notFound }
        guard head.method == .POST else { return .methodNotAllowed(allowed: "POST") }
        guard services.count > 1 else { return .service(fallback) }
        let claimed = RequestHead(head)
        return .service(services.first { $0.claims(claimed) } ?? fallback)
    }

    /// The service by whose rules a request is signed.
    func service(of route: Route) -> any HTTPService {
        if case .service(let service) = route { service } else { fallback }
    }

    /// Path and query of a target in origin or absolute form (RFC 9112, section 3.2).
    static func target(_ uri: String) -> Substring {
        let bytes = uri.utf8
        let slash = UInt8(ascii: "/")
        guard bytes.first != slash, let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            bytes[colon...].starts(with: "://".utf8)
        else { return uri[...] }
        let rest = bytes[bytes.index(colon, offsetBy: 3)...]
        return uri[(rest.firstIndex { $0 == slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex)...]
    }
}
