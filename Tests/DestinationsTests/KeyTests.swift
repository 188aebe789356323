import Destinations
import Records
import TestSupport
import Testing

@Suite struct KeyTests {
    /// The moment 2026-07-13T14:05:06.789Z.
    private static let moment = Timestamp(milliseconds: 1_783_951_506_789)

    private func evaluate(_ prefix: String, zone: String? = nil) throws -> String {
        var number = 0
        return try KeyTemplate(prefix, as: .prefix).evaluate(
            arrival: Self.moment,
            offsetSeconds: TimeZones.offsetSeconds(of: zone, at: Self.moment)
        ) {
            number += 1
            return "random-\(number)"
        }
    }

    @Test(arguments: [
        ("", "2026/07/13/14/"),
        ("legacy", "legacy2026/07/13/14/"),
        ("logs/", "logs/2026/07/13/14/"),
        ("a/!{timestamp:yyyy}/", "a/2026/"),
        ("year=!{timestamp:yyyy}/day=!{timestamp:dd}/", "year=2026/day=13/"),
        ("!{timestamp:'at' HH''mm}x", "at 14'05x"),
        ("!{firehose:random-string}/", "random-1/2026/07/13/14/"),
        (
            "!{firehose:random-string}-!{firehose:random-string}/!{timestamp:ss}/",
            "random-1-random-2/06/"
        ),
    ]) func `prefixes are evaluated as AWS does`(prefix: String, expected: String) throws {
        #expect(try evaluate(prefix) == expected)
    }

    @Test func `a custom time zone moves the timestamps, with summer time`() throws {
        #expect(try evaluate("", zone: "Europe/Berlin") == "2026/07/13/16/")
        #expect(try evaluate("!{timestamp:HH:mmXXX}/", zone: "Asia/Kolkata") == "19:35+05:30/")
        #expect(!TimeZones.isKnown("Mars/Olympus"))
    }

    @Test(arguments: [
        ("a!{timestamp:yyyy", "no closing"), ("!{timestamp}", "not of the form"),
        ("!{timestamp:yyyy-QQ}", "'Q' is not supported"), ("!{timestamp:'x}", "incomplete"),
        ("!{firehose:nothing}", "not an expression"), ("!{other:x}", "not an expression"),
        ("!{firehose:error-output-type}", "belongs in ErrorOutputPrefix"),
        ("!{partitionKeyFromQuery:a}", "dynamic partitioning"),
        ("!{timestamp:yyyyyyyyyyyy}", "too many"),
    ]) func `a prefix that is not right is refused with the reason`(prefix: String, reason: String)
    {
        #expect {
            try KeyTemplate(prefix, as: .prefix)
        } throws: { error in
            (error as? FirehoseError)?.code == .invalidArgument && "\(error)".contains(reason)
        }
    }

    @Test func `the implicit timestamp does not count against the limit`() throws {
        let template = try KeyTemplate(String(repeating: "a", count: 500), as: .prefix)
        #expect(template.countedCharacters(at: Self.moment, offsetSeconds: 0) == 500)
    }

    /// Produced by java.time.format.DateTimeFormatter, Locale.ENGLISH, for the moment in
    /// America/New_York.
    @Test(arguments: [
        ("yy-M-d h:m:s a", "26-7-13 10:5:6 AM"), ("EEE, dd MMM uuuu", "Mon, 13 Jul 2026"),
        ("EEEE MMMM L k K", "Monday July 7 10 10"), ("DDD D", "194 194"),
        ("SSS SSSSSS S", "789 789000 7"), ("X XX XXX x Z", "-04 -0400 -04:00 -04 -0400"),
        ("yyyy.MM.dd'T'HH", "2026.07.13T10"),
    ]) func `patterns are formatted as Java does`(pattern: String, expected: String) throws {
        let text = try DatePattern(pattern).format(Self.moment, offsetSeconds: -4 * 3600)
        #expect(text == expected)
    }

    private func plan(
        _ sequence: UInt64,
        _ arrival: Timestamp,
        _ destination: S3Destination
    )
        throws -> ObjectPlan
    {
        var generator = SystemRandomNumberGenerator()
        return ObjectPlan(
            stream: "s",
            version: 3,
            sequence: sequence,
            arrival: arrival,
            destination: destination,
            template: try KeyTemplate(destination.prefix ?? "", as: .prefix),
            generator: &generator
        )
    }

    @Test func `a key has prefix, stream, version, time, UUID and extension`() throws {
        var destination = S3Destination(bucketARN: "arn:aws:s3:::b")
        destination.compressionFormat = .gzip
        let pattern =
            #/2026/07/13/14/s-3-2026-07-13-14-05-06-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.gz/#
        #expect(try plan(1, Self.moment, destination).key.wholeMatch(of: pattern) != nil)
        destination.fileExtension = ".log.z"
        #expect(try plan(1, Self.moment, destination).key.hasSuffix(".log.z"))
        destination.fileExtension = ""
        #expect(try plan(1, Self.moment, destination).key.hasSuffix(".gz"))
        #expect(try plan(1, Self.moment, destination).bucket == "b")
    }

    @Test func `random strings have eleven characters of a UUID`() throws {
        let destination = S3Destination(
            bucketARN: "arn:aws:s3:::b",
            prefix: "!{firehose:random-string}/"
        )
        let first = try plan(1, Self.moment, destination).key
        #expect(first.prefixMatch(of: #/[0-9a-f]{8}-[0-9a-f]{2}/2026/#) != nil)
        #expect(try plan(1, Self.moment, destination).key != first)
    }

    @Test func `keys sort in the order of buffers, also within a millisecond`() throws {
        let destination = S3Destination(bucketARN: "arn:aws:s3:::b")
        var generator = SeededGenerator(seed: 8)
        var moment = Self.moment
        var keys: [String] = []
        for sequence in 1...5000 as ClosedRange<UInt64> {
            if Bool.random(using: &generator) {
                moment = moment + .milliseconds(Int.random(in: 0...500, using: &generator))
            }
            keys.append(try plan(sequence * 517, moment, destination).key)
        }
        #expect(keys == keys.sorted())
    }
}
