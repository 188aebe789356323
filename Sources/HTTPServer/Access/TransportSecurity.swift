internal import NIOSSL
internal import Platform
package import Records
internal import Synchronization

/// TLS for the server: certificate and key from files, read anew on demand.
package final class TransportSecurity: Sendable {
    /// Where the certificate and the key are, all PEM.
    package struct Files: Sendable {
        /// The certificate, with those between it and the root behind it.
        package var certificate: String
        /// The certificate's private key.
        package var key: String
        /// The authorities whose client certificates are let in; nil where none is asked for.
        package var clientAuthorities: String?

        /// Files by their paths.
        package init(certificate: String, key: String, clientAuthorities: String?) {
            self.certificate = certificate
            self.key = key
            self.clientAuthorities = clientAuthorities
        }
    }

    /// Files that cannot be used, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        /// For the operator.
        package var description: String
    }

    private let files: Files
    private let context: Mutex<NIOSSLContext>

    /// Reads the files.
    package init(_ files: Files) throws(Failure) {
        self.files = files
        context = Mutex(try Self.context(files))
    }

    /// Reads the files again, for connections to come; what was in use stays in use if they are no
    /// good.
    package func reload() throws(Failure) {
        let new = try Self.context(files)
        context.withLock { $0 = new }
    }

    /// When the certificate lapses; the first of a chain to do so.
    package var expiry: Timestamp? {
        guard let chain = try? NIOSSLCertificate.fromPEMFile(files.certificate) else { return nil }
        return chain.map { Timestamp(milliseconds: Int64($0.notValidAfter) * 1000) }.min()
    }

    /// The first handler of a connection.
    func handler() -> NIOSSLServerHandler {
        NIOSSLServerHandler(context: context.withLock { $0 })
    }

    private static func context(_ files: Files) throws(Failure) -> NIOSSLContext {
        let chain = try reading("certificate", files.certificate) {
            try NIOSSLCertificate.fromPEMFile(files.certificate)
        }
        guard !chain.isEmpty else {
            throw Failure(description: "the TLS certificate \(files.certificate) is empty")
        }
        let key = try reading("key", files.key) {
            try NIOSSLPrivateKey(file: files.key, format: .pem)
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let path = files.clientAuthorities {
            let authorities = try reading("client authorities", path) {
                try NIOSSLCertificate.fromPEMFile(path)
            }
            configuration.trustRoots = .certificates(authorities)
            // A client has no host name that could be held against its certificate.
            configuration.certificateVerification = .noHostnameVerification
        }
        return try reading("certificate and key", files.certificate) {
            try NIOSSLContext(configuration: configuration)
        }
    }

    private static func reading<Value>(
        _ what: String,
        _ path: String,
        _ body: () throws -> Value
    ) throws(Failure) -> Value {
        do {
            return try body()
        } catch {
            guard Folder.exists(path) else {
                throw Failure(description: "the TLS \(what) \(path) does not exist")
            }
            let hint = what == "key" || what == "certificate" ? "; is it PEM?" : ""
            throw Failure(
                description: "the TLS \(what) in \(path) cannot be used: \(error)\(hint)"
            )
        }
    }
}
