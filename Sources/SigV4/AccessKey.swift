package import Records

/// A key that requests may be signed with.
package struct AccessKey: Sendable, Hashable {
    /// Its id, its secret, and the token that requests must carry if it has one.
    package var credentials: Credentials
    /// When it ends, if ever.
    package var expires: Timestamp?

    /// A key.
    package init(credentials: Credentials, expires: Timestamp? = nil) {
        self.credentials = credentials
        self.expires = expires
    }
}
