/// A delivery stream: what its owner asked for, with the defaults filled in.
package struct DeliveryStream: Sendable, Codable, Hashable {
    /// Where records come from.
    ///
    /// Hydrant serves direct puts.
    package enum Source: String, Sendable, Codable {
        case directPut = "DirectPut"
    }

    /// The shape in which the destination was given, and is described back.
    package enum DestinationShape: String, Sendable, Codable {
        case s3 = "S3"
        case extendedS3 = "ExtendedS3"
    }

    /// A key and an optional value.
    package struct Tag: Sendable, Codable, Hashable {
        /// 1 to 128 characters.
        package var key: String
        /// 0 to 256 characters.
        package var value: String?

        /// A tag.
        package init(key: String, value: String?) {
            self.key = key
            self.value = value
        }

        package enum CodingKeys: String, CodingKey {
            case key = "Key"
            case value = "Value"
        }
    }

    /// 1 to 64 characters of `[a-zA-Z0-9_.-]`.
    package var name: String
    /// Where records come from.
    package var source: Source
    /// `ThroughputHintInMBs` of a DirectPutSourceConfiguration: kept and described, nothing else.
    package var throughputHintInMBs: Int?
    /// Begins at 1 and rises with every change of the configuration.
    package var version: Int
    /// When it was created.
    package var createTimestamp: Timestamp
    /// When it was last changed, if ever.
    package var lastUpdateTimestamp: Timestamp?
    /// How the destination was given.
    package var destinationShape: DestinationShape
    /// The destination.
    package var destination: S3Destination
    /// At most 50.
    package var tags: [Tag]

    /// A stream of version 1.
    package init(
        name: String,
        source: Source,
        throughputHintInMBs: Int?,
        createTimestamp: Timestamp,
        destinationShape: DestinationShape,
        destination: S3Destination,
        tags: [Tag]
    ) {
        self.name = name
        self.source = source
        self.throughputHintInMBs = throughputHintInMBs
        version = 1
        self.createTimestamp = createTimestamp
        self.destinationShape = destinationShape
        self.destination = destination
        self.tags = tags
    }

    /// True for names that the API model allows: 1 to 64 characters of `[a-zA-Z0-9_.-]`.
    package static func isValidName(_ name: String) -> Bool {
        (1...Limits.maximumStreamNameCharacters).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// Where a stream is in its life (API model: `DeliveryStreamStatus`).
///
/// Creation is over when it is answered, so that nobody sees `CREATING`.
package enum DeliveryStreamStatus: String, Sendable {
    case active = "ACTIVE"
    case deleting = "DELETING"
}

/// Who this server says it is in ARNs.
package struct ServiceIdentity: Sendable, Hashable {
    /// An AWS region's name.
    package var region: String
    /// An account number.
    package var account: String

    /// An identity.
    package init(region: String, account: String) {
        self.region = region
        self.account = account
    }

    /// The ARN of a delivery stream of this server.
    package func arn(ofStream name: String) -> String {
        "arn:aws:firehose:\(region):\(account):deliverystream/\(name)"
    }
}

/// Keeps the delivery streams: the control plane's view.
package protocol DeliveryStreamRegistry: Sendable {
    /// Who the server is.
    var identity: ServiceIdentity { get }
    /// The lowest `IntervalInSeconds` that a stream may ask for.
    var minimumBufferIntervalSeconds: Int { get }

    /// Creates a stream; when this returns it is on disk and takes records.
    func create(_ stream: DeliveryStream) async throws(FirehoseError)
    /// The stream of that name, and how it is with it.
    func describe(
        _ name: String
    ) throws(FirehoseError) -> (
        stream: DeliveryStream, status: DeliveryStreamStatus
    )
    /// Up to `limit` names in order, behind `start`, and whether there are more.
    func list(after start: String?, limit: Int) -> (names: [String], hasMore: Bool)
    /// Deletes a stream with what it still holds; when this returns its files are gone.
    func delete(_ name: String) async throws(FirehoseError)
}
