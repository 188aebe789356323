internal import Platform
package import Records

/// Everything about an object that is decided before its first PUT and journalled, so that every
/// later attempt writes the same.
package struct ObjectPlan: Sendable, Codable, Hashable {
    /// The bucket's name.
    package var bucket: String
    /// The key.
    package var key: String
    /// How the content is compressed.
    package var compression: CompressionFormat
    /// The key for SSE-KMS, or none.
    package var kmsKeyARN: String?
    /// The object's UUID, which is also the name of the entry in a ZIP.
    package var uuid: String
    /// When the oldest record arrived.
    package var arrival: Timestamp
    /// What stands between two records; nothing where it is nil.
    package var recordDelimiter: String?

    /// A plan for a buffer of a stream.
    ///
    /// Key: developer guide, "Amazon S3 object name format":
    /// `<evaluated prefix><stream>-<version>-<yyyy-MM-dd-HH-mm-ss>-<uuid><extension>`. The time in
    /// the name is UTC and that of the oldest record; the UUID is a version 7 one (RFC 9562) of `order`
    /// and `sequence`. So objects sort by their UUIDs in the order in which they were cut, whatever stands
    /// before those: names alone do not, as version 10 sorts before version 2, and clocks are set.
    ///
    /// - Parameters:
    ///   - stream: The stream's name.
    ///   - version: The version of its configuration.
    ///   - sequence: The buffer's number in its stream.
    ///   - arrival: When the buffer's oldest record arrived.
    ///   - order: A time that goes back for no later buffer; by default the arrival.
    ///   - destination: Where it goes.
    ///   - template: The destination's prefix, parsed; for failed records, their type's.
    ///   - errorOutputType: What failed records are delivered as; their objects are neither compressed
    ///     nor have an extension, as objects that AWS wrote.
    ///   - generator: Where randomness comes from.
    package init(
        stream: String,
        version: Int,
        sequence: UInt64,
        arrival: Timestamp,
        order: Timestamp? = nil,
        destination: S3Destination,
        template: KeyTemplate,
        errorOutputType: ErrorOutputType? = nil,
        generator: inout some RandomNumberGenerator
    ) {
        bucket = destination.bucket
        compression = errorOutputType == nil ? destination.compressionFormat : .uncompressed
        kmsKeyARN = destination.kmsKeyARN
        self.arrival = arrival
        uuid = Self.uuid(time: order ?? arrival, sequence: sequence, random: generator.next())
        let zoneOffset = TimeZones.offsetSeconds(of: destination.customTimeZone, at: arrival)
        let prefix = template.evaluate(
            arrival: arrival,
            offsetSeconds: zoneOffset,
            errorOutputType: errorOutputType?.rawValue ?? ""
        ) {
            String(
                UUIDText.text(high: generator.next(), low: generator.next()).prefix(11)
            )
        }
        let time = CivilTime(arrival)
        let stamp = [time.year, time.month, time.day, time.hour, time.minute, time.second]
            .map { CivilTime.padded($0, 2) }.joined(separator: "-")
        let fileExtension: String =
            if errorOutputType != nil {
                ""
            } else if let own = destination.fileExtension, !own.isEmpty {
                own
            } else {
                destination.compressionFormat.defaultExtension
            }
        key = "\(prefix)\(stream)-\(version)-\(stamp)-\(uuid)\(fileExtension)"
    }

    /// A plan for an object whose key is known.
    package init(bucket: String, key: String, uuid: String, arrival: Timestamp) {
        self.bucket = bucket
        self.key = key
        compression = .uncompressed
        self.uuid = uuid
        self.arrival = arrival
    }

    /// The time in the UUID; nil where it has none.
    package var order: Timestamp? {
        let digits = uuid.prefix(13).filter { $0 != "-" }
        return digits.count == 12
            ? Int64(digits, radix: 16).map { Timestamp(milliseconds: $0) } : nil
    }

    /// Time (48 bits), then version, then 32 bits of sequence and 42 of randomness around the variant.
    private static func uuid(time: Timestamp, sequence: UInt64, random: UInt64) -> String {
        let time = UInt64(max(0, time.milliseconds)) & 0xffff_ffff_ffff
        let number = sequence & 0xffff_ffff
        let high = time << 16 | 0x7000 | number >> 20
        let low = 0x8000_0000_0000_0000 | (number & 0xf_ffff) << 42 | random & 0x3ff_ffff_ffff
        return UUIDText.text(high: high, low: low)
    }
}
