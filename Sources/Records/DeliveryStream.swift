internal import JSON

/// A delivery stream: what its owner asked for, with the defaults filled in.
package struct DeliveryStream: Sendable, Codable, Hashable {
    /// Where records come from.
    ///
    /// Hydrant serves direct puts.
    package enum Source: String, Sendable, Codable {
        case directPut = "DirectPut"
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

        /// By their bytes, as AWS tells tags apart.
        package static func == (left: Tag, right: Tag) -> Bool {
            left.key.utf8.elementsEqual(right.key.utf8)
                && (left.value == nil) == (right.value == nil)
                && (left.value ?? "").utf8.elementsEqual((right.value ?? "").utf8)
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
    /// The destination.
    package var destination: DestinationConfiguration
    /// Server-side encryption as StartDeliveryStreamEncryption asked for it; nil where it is off.
    package var encryption: StreamEncryption?
    /// At most 50, in order of their keys.
    package var tags: [Tag]

    /// A stream of version 1.
    package init(
        name: String,
        source: Source = .directPut,
        throughputHintInMBs: Int? = nil,
        createTimestamp: Timestamp,
        destination: DestinationConfiguration,
        encryption: StreamEncryption? = nil,
        tags: [Tag] = []
    ) {
        self.name = name
        self.source = source
        self.throughputHintInMBs = throughputHintInMBs
        version = 1
        self.createTimestamp = createTimestamp
        self.destination = destination
        self.encryption = encryption
        self.tags = tags
    }

    /// A stream of which no more than its name is known.
    package static func unknown(_ name: String) -> DeliveryStream {
        DeliveryStream(
            name: name,
            createTimestamp: Timestamp(milliseconds: 0),
            destination: DestinationConfiguration(kind: .extendedS3, members: [:])
        )
    }

    /// Whether no more than its name is known.
    package var isUnknown: Bool { destination.members.object?.isEmpty ?? true }

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

/// Server-side encryption of a stream (API model: DeliveryStreamEncryptionConfigurationInput).
package struct StreamEncryption: Sendable, Codable, Hashable {
    /// Whose key it is.
    ///
    /// Here, both stand for the server's master key.
    package enum KeyType: String, Sendable, Codable {
        case awsOwned = "AWS_OWNED_CMK"
        case customerManaged = "CUSTOMER_MANAGED_CMK"
    }

    /// Whose key it is.
    package var keyType: KeyType
    /// The ARN of a customer managed key: kept and described back.
    package var keyARN: String?

    /// Encryption with a key.
    package init(keyType: KeyType, keyARN: String? = nil) {
        self.keyType = keyType
        self.keyARN = keyARN
    }
}

/// Where a stream is in its life (API model: `DeliveryStreamStatus`).
///
/// Creation is over when it is answered, so that nobody sees `CREATING`.
package enum DeliveryStreamStatus: String, Sendable {
    case active = "ACTIVE"
    case deleting = "DELETING"
    /// In quarantine: this server cannot open what it has of the stream.
    case creatingFailed = "CREATING_FAILED"
}

/// A stream as it is described.
package struct DescribedStream: Sendable {
    /// The stream; without members of a destination where nobody can read what they were.
    package var stream: DeliveryStream
    /// How it is with it.
    package var status: DeliveryStreamStatus
    /// Why it is in quarantine; nil where it is not.
    package var failure: String?

    /// A stream in a state.
    package init(
        _ stream: DeliveryStream,
        _ status: DeliveryStreamStatus,
        failure: String? = nil
    ) {
        self.stream = stream
        self.status = status
        self.failure = failure
    }
}

/// An error of something that is stored: it may be of a version of the program that is not there yet, and
/// then nothing is wrong with it.
package protocol StoredFormatError: Error {
    /// Whether a later version wrote it.
    var isOfLaterVersion: Bool { get }
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

    /// Refuses a stream that this server would not take, whatever streams there are.
    func check(_ stream: DeliveryStream) throws(FirehoseError)
    /// Creates a stream; when this returns it is on disk and takes records.
    func create(_ stream: DeliveryStream) async throws(FirehoseError)
    /// Changes a stream's configuration: when this returns the change is on disk and in effect.
    ///
    /// `change` gets the current configuration, alone; if it throws, nothing is changed.
    func update(
        _ name: String,
        _ change: @escaping @Sendable (inout DeliveryStream) throws(FirehoseError) -> Void
    ) async throws(FirehoseError)
    /// Seals what is put from now on under a new data key.
    func startEncryption(_ name: String, _ encryption: StreamEncryption) async throws(FirehoseError)
    /// Keeps what is put from now on as it is.
    func stopEncryption(_ name: String) async throws(FirehoseError)
    /// The stream of that name, and how it is with it.
    func describe(_ name: String) throws(FirehoseError) -> DescribedStream
    /// Up to `limit` names in order, behind `start`, and whether there are more.
    func list(after start: String?, limit: Int) -> (names: [String], hasMore: Bool)
    /// Deletes a stream with what it still holds; when this returns its files are gone.
    func delete(_ name: String) async throws(FirehoseError)
}
