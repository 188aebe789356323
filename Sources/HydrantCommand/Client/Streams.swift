internal import ArgumentParser
internal import Client
internal import FirehoseAPI
internal import JSON
internal import Records

/// `hydrant streams`.
struct Streams: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists, describes and changes the delivery streams of a server.",
        discussion: ClientOptions.environment,
        subcommands: [List.self, Describe.self, Create.self, Update.self, Delete.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the streams' names.")

        @Flag(help: "Print them as a JSON array.") var json = false
        @OptionGroup var client: ClientOptions

        func run() async throws {
            try await client.withClient { client in
                var input: JSONValue = ["Limit": .integer(Limits.listLimit.upperBound)]
                var all: [JSONValue] = []
                while true {
                    let answer = try await client.call("ListDeliveryStreams", input)
                    let names = (answer["DeliveryStreamNames"]?.array ?? []).compactMap(\.string)
                    if json {
                        all += names.map { .string($0) }
                    } else {
                        for name in names { try StandardStreams.print(name) }
                    }
                    guard answer["HasMoreDeliveryStreams"] == true, let last = names.last else {
                        if json { try Document.write(.array(all)) }
                        return
                    }
                    input["ExclusiveStartDeliveryStreamName"] = .string(last)
                }
            }
        }
    }

    struct Describe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints a stream's DeliveryStreamDescription as JSON."
        )

        @Argument(help: "The stream's name.", completion: ClientOptions.streamNames) var name:
            String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            try await client.withClient { client in
                try Document.write(try await Streams.describe(name, client))
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates a stream and prints its ARN."
        )

        @Argument(help: "A JSON file in the shape of CreateDeliveryStream; - for standard input.")
        var file: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            try await client.withClient { client in
                let document = try Document.read(file)
                try DeclaredStreams.checkMembers(of: document)
                let answer = try await client.call("CreateDeliveryStream", document)
                try StandardStreams.print(answer["DeliveryStreamARN"]?.string ?? "")
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Changes a stream's destination.")

        @Argument(help: "The stream's name.", completion: ClientOptions.streamNames) var name:
            String
        @Argument(
            help: """
                A JSON file in the shape of UpdateDestination; - for standard input. The name, the \
                current version and the destination's id may be left out.
                """
        )
        var file: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            try await client.withClient { client in
                var input = try Document.read(file)
                let current = try await Streams.describe(name, client)
                input["DeliveryStreamName"] = .string(name)
                if input["CurrentDeliveryStreamVersionId"] == nil {
                    input["CurrentDeliveryStreamVersionId"] = current["VersionId"]
                }
                if input["DestinationId"] == nil {
                    input["DestinationId"] = current["Destinations"]?.array?.first?["DestinationId"]
                }
                _ = try await client.call("UpdateDestination", input)
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes a stream, with the records that it still holds."
        )

        @Argument(help: "The stream's name.", completion: ClientOptions.streamNames) var name:
            String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            try await client.withClient { client in
                _ = try await client.call(
                    "DeleteDeliveryStream",
                    ["DeliveryStreamName": .string(name)]
                )
            }
        }
    }

    private static func describe(
        _ name: String,
        _ client: FirehoseClient
    ) async throws
        -> JSONValue
    {
        let answer = try await client.call(
            "DescribeDeliveryStream",
            ["DeliveryStreamName": .string(name)]
        )
        return answer["DeliveryStreamDescription"] ?? [:]
    }
}
