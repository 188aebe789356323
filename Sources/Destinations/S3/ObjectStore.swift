package import Platform
package import Records

/// An object's content in a spool file, ready to be sent any number of times.
package struct SpooledObject: Sendable {
    /// The content.
    package var content: any ByteSource
    /// Its bytes.
    package var byteCount: UInt64
    /// The SHA-256 of the content, 32 bytes.
    package var sha256: [UInt8]

    /// A spooled object.
    package init(content: any ByteSource, byteCount: UInt64, sha256: [UInt8]) {
        self.content = content
        self.byteCount = byteCount
        self.sha256 = sha256
    }
}

/// Where objects go: S3, or folders that stand for buckets.
package protocol ObjectStore: Sendable {
    /// Stores an object under the plan's key, replacing what is there; when it answers `delivered`,
    /// the object is durable as far as the store can say.
    ///
    /// - Throws: `CancellationError` alone.
    func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome
}
