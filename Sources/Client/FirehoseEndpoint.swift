internal import SigV4

/// Where a Firehose API is, and who we are there.
package struct FirehoseEndpoint: Sendable {
    /// A URL that cannot be used, and why.
    package struct Failure: Error, CustomStringConvertible {
        /// What is wrong.
        package var description: String
    }

    /// Where a server of this program listens by default.
    package static let defaultURL = "http://127.0.0.1:4573"

    let url: String
    let authority: String
    let region: String
    let credentials: Credentials?
    /// A PEM file with the authorities of the server's certificate; nil for the system's.
    let certificateAuthorities: String?

    /// An endpoint by its URL, else by the variables that AWS's own tools read:
    /// `AWS_ENDPOINT_URL_FIREHOSE`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_DEFAULT_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and `AWS_CA_BUNDLE` (SDKs and
    /// tools reference guide).
    ///
    /// - Parameters:
    ///   - url: `http://` or `https://`, a host, optionally a port.
    ///   - region: The region in signatures.
    ///   - environment: The process's variables.
    /// - Throws: `Failure` where the URL is not such a one, or half a key is there.
    package init(
        url: String?,
        region: String?,
        environment: [String: String]
    ) throws(Failure) {
        let environment = environment.filter { !$0.value.isEmpty }
        let given =
            url ?? environment["AWS_ENDPOINT_URL_FIREHOSE"] ?? environment["AWS_ENDPOINT_URL"]
            ?? Self.defaultURL
        let parts = given.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, ["http:", "https:"].contains(parts[0].lowercased()),
            parts[1].isEmpty, !parts[2].isEmpty, !parts[2].contains("@"),
            parts.count == 3 || parts[3].isEmpty
        else {
            throw Failure(
                description: "the endpoint \(given) is not an http or https URL of a host alone"
            )
        }
        let standardPort = parts[0].lowercased() == "https:" ? ":443" : ":80"
        var authority = parts[2].lowercased()
        if authority.hasSuffix(standardPort) { authority.removeLast(standardPort.count) }
        self.url = "\(parts[0].lowercased())//\(authority)/"
        self.authority = authority
        self.region =
            region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1"
        certificateAuthorities = environment["AWS_CA_BUNDLE"]
        switch (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) {
        case (nil, nil): credentials = nil
        case (let id?, let secret?):
            credentials = Credentials(
                accessKeyID: id,
                secretAccessKey: secret,
                sessionToken: environment["AWS_SESSION_TOKEN"]
            )
        default:
            throw Failure(
                description: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: one of them "
                    + "is missing"
            )
        }
    }
}
