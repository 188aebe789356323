internal import ArgumentParser
internal import Destinations
internal import Egress
internal import Foundation
internal import Logging
internal import Platform
internal import Records
internal import SigV4

/// Where buckets are: options of all commands that read or write objects.
struct BucketOptions: ParsableArguments {
    @Option(help: "Use folders in this folder as buckets. (default: DATA-DIR/buckets without S3)")
    var localBuckets: String?

    @Option(help: "URL of an S3-compatible endpoint. (default: AWS's own)")
    var s3Endpoint: String?

    @Option(help: "Region of the buckets. (default: AWS_REGION, else us-east-1)")
    var s3Region: String?

    @Option(help: "How buckets are named in URLs: auto, path or virtual.")
    var s3Addressing = S3Configuration.Addressing.auto

    func validate() throws {
        guard localBuckets == nil || s3Endpoint == nil else {
            throw ValidationError("--local-buckets and --s3-endpoint exclude each other")
        }
    }

    /// The variables of AWS's SDKs that have a value.
    static var environment: [String: String] {
        ProcessInfo.processInfo.environment.filter {
            $0.key.hasPrefix("AWS_") && !$0.value.isEmpty
        }
    }

    /// Who signs requests to AWS's services and to those that act like them.
    static var credentials: Credentials? {
        let environment = environment
        guard let keyID = environment["AWS_ACCESS_KEY_ID"],
            let secret = environment["AWS_SECRET_ACCESS_KEY"]
        else { return nil }
        return Credentials(
            accessKeyID: keyID,
            secretAccessKey: secret,
            sessionToken: environment["AWS_SESSION_TOKEN"]
        )
    }

    /// The S3-compatible store that is named; nil for AWS.
    var endpoint: String? {
        s3Endpoint ?? Self.environment["AWS_ENDPOINT_URL_S3"]
            ?? Self.environment["AWS_ENDPOINT_URL"]
    }

    /// Where buckets are folders; nil where they are in S3.
    func localFolder(dataDir: String) -> String? {
        let hasKey = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
            .contains { Self.environment[$0] != nil }
        guard localBuckets != nil || endpoint == nil && !hasKey else { return nil }
        return localBuckets.map(Place.absolute)
            ?? dataDir + "/buckets"
    }

    /// S3 where anything about it is said, folders otherwise.
    func store(
        dataDir: String,
        _ client: HTTPClient,
        _ time: any TimeSource,
        _ logger: Logger?
    ) throws -> any BrowsableStore {
        if let buckets = localFolder(dataDir: dataDir) {
            logger?.info("buckets are folders", metadata: ["folder": "\(buckets)"])
            return try LocalBucketStore(folder: buckets, threads: WorkerThreads(count: 2))
        }
        guard let credentials = Self.credentials else {
            throw SettingsError(
                description: "S3 needs credentials: set AWS_ACCESS_KEY_ID and "
                    + "AWS_SECRET_ACCESS_KEY, or use --local-buckets"
            )
        }
        let configuration = try S3Configuration(
            endpoint: endpoint,
            region: s3Region ?? Self.environment["AWS_REGION"] ?? "us-east-1",
            addressing: s3Addressing,
            credentials: credentials
        )
        logger?.info("buckets are in S3", metadata: ["endpoint": "\(endpoint ?? "AWS")"])
        return S3ObjectStore(configuration, client: client, time: time)
    }
}
