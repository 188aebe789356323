internal import Platform
package import SigV4

/// Where S3 is and who we are there.
package struct S3Configuration: Sendable {
    /// How a bucket is named in a URL.
    package enum Addressing: String, Sendable, CaseIterable {
        /// Virtual-host style at AWS, path style elsewhere.
        case auto
        /// `https://host/bucket/key`
        case path
        /// `https://bucket.host/key`
        case virtual
    }

    /// A URL that cannot be used, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        /// What is wrong.
        package var description: String
    }

    var scheme: String
    /// Host, with the port where it is not the scheme's own.
    var authority: String
    /// What stands before the bucket or key, without a slash at its end.
    var basePath: String
    var region: String
    var isVirtualHost: Bool
    var credentials: Credentials

    /// Reads an endpoint.
    ///
    /// - Parameters:
    ///   - endpoint: `http://` or `https://`, host, optional port and path; nil stands for AWS's own
    ///     in that region.
    ///   - region: An AWS region's name, as the endpoint expects it in signatures.
    ///   - addressing: How buckets are named in URLs.
    ///   - credentials: Who signs.
    /// - Throws: `Failure` where the endpoint is not such a URL.
    package init(
        endpoint: String?,
        region: String,
        addressing: Addressing,
        credentials: Credentials
    ) throws(Failure) {
        let url =
            endpoint ?? "https://s3.\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")"
        guard let mark = url.firstIndex(of: ":"), url[mark...].hasPrefix("://"),
            ["http", "https"].contains(url[..<mark].lowercased())
        else { throw Failure(description: "the S3 endpoint \(url) is not an http or https URL") }
        scheme = url[..<mark].lowercased()
        let rest = url[url.index(mark, offsetBy: 3)...]
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let standardPort = scheme == "https" ? ":443" : ":80"
        authority = rest[..<slash].lowercased()
        if authority.hasSuffix(standardPort) { authority.removeLast(standardPort.count) }
        guard !authority.isEmpty, !authority.contains("@"),
            !rest.contains(where: { "?# ".contains($0) })
        else {
            throw Failure(
                description: "the S3 endpoint \(EndpointURL(url)?.text ?? "given") must be a host, "
                    + "optionally with port and path, without a user"
            )
        }
        basePath = String(rest[slash...])
        while basePath.hasSuffix("/") { basePath.removeLast() }
        self.region = region
        self.credentials = credentials
        isVirtualHost =
            switch addressing {
            case .auto: endpoint == nil
            case .path: false
            case .virtual: true
            }
    }

    /// Host and path for a key in a bucket; the path is percent-encoded.
    func location(bucket: String, key: String) -> (authority: String, path: String) {
        let encodedKey = URIEncoding.encode(key, keepSlashes: true)
        // A name with dots matches no certificate for *.host.
        if isVirtualHost, scheme == "http" || !bucket.contains(".") {
            return ("\(bucket).\(authority)", "\(basePath)/\(encodedKey)")
        }
        return (authority, "\(basePath)/\(URIEncoding.encode(bucket))/\(encodedKey)")
    }
}
