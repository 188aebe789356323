import Foundation
import JSON
import Records
import Testing

@testable import Destinations

@Suite struct DestinationTypeTests {
    @Test func `each kind has one line in the table`() {
        #expect(DestinationType.all.map(\.kind).count == DestinationKind.allCases.count)
        #expect(Set(DestinationType.all.map(\.kind)) == Set(DestinationKind.allCases))
        for kind in DestinationKind.allCases { #expect(DestinationType.of(kind).kind == kind) }
    }

    @Test func `what records fail as is stored by AWS's name`() throws {
        let names = [
            "processing-failed", "decompression-failed", "elasticsearch-failed",
            "AmazonOpenSearchService-failed", "http-endpoint-failed", "splunk-failed",
        ]
        #expect(ErrorOutputType.allCases.map(\.rawValue) == names)
        let json = try JSONEncoder().encode(ErrorOutputType.allCases)
        #expect(try JSONDecoder().decode([String].self, from: json) == names)
        #expect(try JSONDecoder().decode([ErrorOutputType].self, from: json).count == names.count)
        #expect(ErrorOutputType(rawValue: "other-failed") == nil)
        #expect(ErrorOutputType(of: .redshift) == nil)
        #expect(ErrorOutputType(of: .splunk) == .splunkFailed)
    }

    @Test func `an endpoint is found where its kind has it`() {
        let configurations: [(DestinationKind, JSONValue)] = [
            (.openSearch, ["ClusterEndpoint": "http://u:p@h:1/"]),
            (.splunk, ["HECEndpoint": "http://h:1"]),
            (.httpEndpoint, ["EndpointConfiguration": ["Url": "http://h:1"]]),
        ]
        for (kind, members) in configurations {
            let configuration = DestinationConfiguration(kind: kind, members: members)
            #expect(DestinationType.of(kind).endpoint(of: configuration)?.text == "http://h:1")
        }
        let bucket = DestinationConfiguration(kind: .s3, members: [:])
        #expect(DestinationType.of(.s3).endpoint(of: bucket) == nil)
    }

    // MARK: Configurations, with the members that a journal entry keeps

    private static func configuration(
        _ kind: DestinationKind,
        _ members: JSONValue
    ) -> DestinationConfiguration { DestinationConfiguration(kind: kind, members: members) }

    @Test func `OpenSearch's configuration is read with its defaults`() throws {
        var members: JSONValue = ["ClusterEndpoint": "http://h", "IndexName": "i"]
        let plain = try OpenSearchConfiguration(Self.configuration(.openSearch, members))
        #expect(plain.rotation == .oneDay)
        #expect(plain.hasIdentifiers)
        #expect(plain.type == "")
        #expect(plain.retryDuration == .seconds(300))
        members["DocumentIdOptions"] = ["DefaultDocumentIdFormat": "NO_DOCUMENT_ID"]
        members["RetryOptions"] = ["DurationInSeconds": 7]
        let other = try OpenSearchConfiguration(Self.configuration(.elasticsearch, members))
        #expect(!other.hasIdentifiers)
        #expect(other.retryDuration == .seconds(7))
    }

    @Test func `Splunk's configuration is read with its defaults`() throws {
        let splunk = try SplunkConfiguration(
            Self.configuration(
                .splunk,
                ["HECEndpoint": "http://h", "HECEndpointType": "Event", "HECToken": "t"]
            )
        )
        #expect(splunk.endpointType == .event)
        #expect(splunk.acknowledgementTimeout == .seconds(180))
        #expect(splunk.retryDuration == .seconds(300))
    }

    @Test func `an HTTP endpoint's configuration is read with its defaults`() throws {
        let members: JSONValue = [
            "EndpointConfiguration": ["Url": "http://h?q", "AccessKey": ""],
            "RequestConfiguration": [
                "CommonAttributes": [["AttributeName": "n", "AttributeValue": "v"]]
            ],
        ]
        let endpoint = try HTTPEndpointConfiguration(Self.configuration(.httpEndpoint, members))
        #expect(endpoint.url == "http://h?q")
        #expect(endpoint.accessKey == nil)
        #expect(endpoint.contentEncoding == .none)
        #expect(endpoint.commonAttributes == [.init(name: "n", value: "v")])
        #expect(endpoint.retryDuration == .seconds(300))
    }

    @Test(
        arguments: [
            (.openSearch, ["ClusterEndpoint": "h"], "ClusterEndpoint is not a valid URL"),
            (.openSearch, ["ClusterEndpoint": "http://h"], "IndexName is missing"),
            (
                .openSearch,
                [
                    "ClusterEndpoint": "http://h", "IndexName": "i",
                    "IndexRotationPeriod": "OneYear",
                ],
                "IndexRotationPeriod OneYear is not known"
            ),
            (.splunk, ["HECEndpoint": "http://u:p@h"], "HECEndpoint is not a valid URL"),
            (
                .splunk,
                [
                    "HECEndpoint": "http://h", "HECEndpointType": "Raw",
                    "RetryOptions": ["DurationInSeconds": "1"],
                ],
                "RetryOptions.DurationInSeconds is not a whole number"
            ),
            (
                .httpEndpoint, ["EndpointConfiguration": ["Url": "h"]],
                "EndpointConfiguration.Url is not a valid URL"
            ),
            (
                .httpEndpoint,
                [
                    "EndpointConfiguration": ["Url": "http://h"],
                    "RequestConfiguration": ["CommonAttributes": [["AttributeName": "n"]]],
                ],
                "RequestConfiguration.CommonAttributes.1.AttributeValue is missing"
            ),
        ] as [(DestinationKind, JSONValue, String)]
    )
    func `what is wrong is named`(kind: DestinationKind, members: JSONValue, message: String) {
        let configuration = Self.configuration(kind, members)
        let error = #expect(throws: FirehoseError.self) {
            switch kind {
            case .splunk: _ = try SplunkConfiguration(configuration)
            case .httpEndpoint: _ = try HTTPEndpointConfiguration(configuration)
            default: _ = try OpenSearchConfiguration(configuration)
            }
        }
        #expect(error?.message == "\(kind.configurationMember).\(message)")
    }

    @Test func `a warehouse's configuration is read from a buffer's plan`() throws {
        let warehouse = try RedshiftConfiguration(
            Self.configuration(
                .redshift,
                [
                    "ClusterJDBCURL": "jdbc:redshift://h/d", "CopyCommand": ["DataTableName": "t"],
                    "RoleARN": "r",
                ]
            )
        )
        #expect(warehouse.retryDuration == .seconds(3600))
        #expect(warehouse.user == "")
    }
}
