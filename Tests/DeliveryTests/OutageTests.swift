import Logging
import MetricsTestKit
import Testing

@testable import Delivery

@Suite struct OutageTests {
    private let metrics = TestMetrics()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func value(_ stream: String = "s") throws -> Double? {
        let dimensions = [("stream", stream), ("pipeline", "source")]
        return try metrics.expectRecorder("hydrant_delivery_paused", dimensions).lastValue
    }

    @Test func `the gauge is 1 while neither the destination nor the bucket takes anything`() throws
    {
        let outage = Outage(stream: "s", pipeline: "source", metrics)
        outage.bucketIs("b", logger)
        #expect(try value() == 0)
        outage.destinationFailed(logger)
        #expect(try value() == 0)
        outage.bucketFailed("b", logger)
        #expect(try value() == 1)
        outage.destinationAnswered(logger)
        #expect(try value() == 0)
        outage.destinationFailed(logger)
        #expect(try value() == 1)
        outage.bucketAnswered("b", logger)
        #expect(try value() == 0)
    }

    @Test func `each stream has its own, which goes with it`() throws {
        let outage = Outage(stream: "s", pipeline: "source", metrics)
        outage.bucketIs("b", logger)
        do {
            let other = Outage(stream: "t", pipeline: "source", metrics)
            other.bucketIs("b", logger)
            other.destinationFailed(logger)
            other.bucketFailed("b", logger)
            #expect(try value("t") == 1)
            #expect(try value("s") == 0)
        }
        #expect(throws: (any Error).self) { try value("t") }
        outage.bucketFailed("b", logger)
        #expect(try value("s") == 0)
    }

    @Test func `a bucket that is away is no matter once there is another`() throws {
        let outage = Outage(stream: "s", pipeline: "source", metrics)
        outage.bucketIs("b", logger)
        outage.destinationFailed(logger)
        outage.bucketFailed("b", logger)
        #expect(try value() == 1)
        outage.bucketIs("c", logger)
        #expect(try value() == 0)
        #expect(outage.isAway("b"))
        #expect(!outage.isAway("c"))
        outage.bucketFailed("b", logger)
        #expect(try value() == 0)
    }
}
