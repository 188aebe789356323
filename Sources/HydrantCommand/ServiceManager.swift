internal import Foundation
internal import Platform

/// Tells the service manager how the server is: systemd's protocol (sd_notify(3)), which needs no
/// library.
enum ServiceManager {
    enum State: String {
        /// It listens.
        case ready = "READY=1"
        /// It was told to stop.
        case stopping = "STOPPING=1"
    }

    /// Sends a datagram to the socket of NOTIFY_SOCKET; nothing happens where there is none.
    static func notify(_ state: State) {
        guard var path = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"], !path.isEmpty else {
            return
        }
        // A name of the abstract kind has a zero byte in the place of the @.
        if path.hasPrefix("@") { path = "\0" + path.dropFirst() }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let socket = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        let prefix = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2
        let length = socklen_t(prefix + bytes.count)
        let text = Array(state.rawValue.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                // Nobody is there to be told where nobody listens.
                _ = sendto(
                    socket,
                    text,
                    text.count,
                    Int32(MSG_NOSIGNAL),
                    address,
                    length
                )
            }
        }
    }
}
