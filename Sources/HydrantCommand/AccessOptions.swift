internal import ArgumentParser
internal import FirehoseAPI
internal import HTTPServer
internal import Records

/// Who gets in, and how: options of `hydrant serve`.
struct AccessOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The keys that requests are signed with, and what each may do.",
            discussion: """
                A JSON file that only its owner may read (mode 0600), read again on SIGHUP: \
                {"keys":[{"accessKeyId":"...","secretAccessKey":"...","allow":[{"actions":\
                ["firehose:PutRecord*"],"streams":["logs-*"]}]}]}
                """,
            valueName: "file"
        )
    )
    var credentials: String?

    @Flag(help: "Let everybody in on any address: for servers behind something that does not.")
    var noAuth = false

    @Option(help: ArgumentHelp("Serve HTTPS with this certificate (PEM).", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key (PEM).", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Let in only clients with a certificate of these authorities (PEM).",
            valueName: "file"
        )
    )
    var tlsClientCA: String?

    /// Refuses what does not go together, and what would leave the server open to a network.
    func validate(host: String) throws {
        guard !(noAuth && credentials != nil) else {
            throw ValidationError("--no-auth and --credentials exclude each other")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
        guard tlsClientCA == nil || tlsCertificate != nil else {
            throw ValidationError("--tls-client-ca needs --tls-certificate and --tls-key")
        }
        guard credentials != nil || noAuth || Loopback.contains(host) else {
            throw ValidationError(
                "--host \(host) is not a loopback address, and without authentication everybody on "
                    + "the network could put records and delete streams: give the keys of those "
                    + "who may with --credentials FILE, or use --no-auth if something in front of "
                    + "this server keeps others out"
            )
        }
    }

    func makeAccessControl(
        _ identity: ServiceIdentity,
        isStrict: Bool,
        _ time: any TimeSource
    ) throws -> AccessControl? {
        try credentials.map { path in
            try AccessControl(
                path: path,
                actions: FirehoseService.actions,
                region: isStrict ? identity.region : nil,
                time: time
            )
        }
    }

    func makeTransportSecurity() throws -> TransportSecurity? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return try TransportSecurity(
            .init(certificate: tlsCertificate, key: tlsKey, clientAuthorities: tlsClientCA)
        )
    }
}

/// Addresses that nobody on the network reaches.
enum Loopback {
    static func contains(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127"
            && parts.allSatisfy { part in UInt8(part) != nil }
    }
}
