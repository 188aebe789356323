/// A key pair, with the token that temporary ones need.
package struct Credentials: Sendable, Hashable {
    /// `AWS_ACCESS_KEY_ID`.
    package var accessKeyID: String
    /// `AWS_SECRET_ACCESS_KEY`.
    package var secretAccessKey: String
    /// `AWS_SESSION_TOKEN`.
    package var sessionToken: String?

    /// Credentials.
    package init(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }
}
