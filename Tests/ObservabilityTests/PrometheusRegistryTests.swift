import CoreMetrics
import Testing

@testable import Observability

@Suite struct PrometheusRegistryTests {
    private let registry = PrometheusRegistry(help: ["puts_total": "Puts, a\nline \\ more."])

    @Test func `a counter is told with its help, its type and its labels`() {
        let counter = Counter(
            label: "puts_total",
            dimensions: [("stream", "a\"b\\c\nd"), ("code", "x")],
            factory: registry
        )
        counter.increment(by: 3)
        #expect(
            registry.text() == #"""
                # HELP puts_total Puts, a\nline \\ more.
                # TYPE puts_total counter
                puts_total{code="x",stream="a\"b\\c\nd"} 3

                """#
        )
    }

    @Test func `a gauge is what was recorded last`() {
        let gauge = Gauge(label: "level", factory: registry)
        gauge.record(2)
        gauge.record(0.25)
        #expect(registry.text() == "# TYPE level gauge\nlevel 0.25\n")
    }

    @Test func `a timer is a histogram in seconds whose last bucket has all`() {
        let timer = Timer(label: "sync_seconds", factory: registry)
        timer.recordMilliseconds(2)
        timer.recordSeconds(20)
        timer.recordSeconds(2000)
        let lines = registry.text().split(separator: "\n")
        #expect(lines.contains(#"sync_seconds_bucket{le="0.001"} 0"#))
        #expect(lines.contains(#"sync_seconds_bucket{le="0.0025"} 1"#))
        #expect(lines.contains(#"sync_seconds_bucket{le="30"} 2"#))
        #expect(lines.contains(#"sync_seconds_bucket{le="900"} 2"#))
        #expect(lines.contains(#"sync_seconds_bucket{le="+Inf"} 3"#))
        #expect(lines.contains("sync_seconds_count 3"))
        #expect(lines.contains("sync_seconds_sum 2020.002"))
    }

    @Test func `the same name and labels are the same series, in any order of labels`() {
        let first = Counter(
            label: "c_total",
            dimensions: [("a", "1"), ("b", "2")],
            factory: registry
        )
        let second = Counter(
            label: "c_total",
            dimensions: [("b", "2"), ("a", "1")],
            factory: registry
        )
        first.increment()
        second.increment()
        #expect(registry.text().contains("c_total{a=\"1\",b=\"2\"} 2"))
        first.destroy()
        #expect(registry.text().contains("c_total{a=\"1\",b=\"2\"} 2"))
        second.destroy()
        #expect(registry.text().isEmpty)
    }

    @Test func `families and series are told in order`() {
        for name in ["b_total", "a_total"] {
            for stream in ["z", "y"] {
                Counter(label: name, dimensions: [("stream", stream)], factory: registry)
                    .increment()
            }
        }
        let samples = registry.text().split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(
            samples == [
                "a_total{stream=\"y\"} 1", "a_total{stream=\"z\"} 1", "b_total{stream=\"y\"} 1",
                "b_total{stream=\"z\"} 1",
            ]
        )
    }

    @Test func `counting is exact with many threads`() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { [registry] in
                    let counter = Counter(label: "n_total", factory: registry)
                    let timer = Timer(label: "t_seconds", factory: registry)
                    for _ in 0..<1000 {
                        counter.increment()
                        timer.recordSeconds(1)
                    }
                }
            }
        }
        let text = registry.text()
        #expect(text.contains("n_total 8000\n"))
        #expect(text.contains("t_seconds_sum 8000\n"))
    }

    @Test func `a quote in a label is escaped whatever combines with it`() {
        let registry = PrometheusRegistry()
        Counter(label: "x", dimensions: [("a", "q\"\u{301}b\\\u{301}\nc")], factory: registry)
            .increment()
        #expect(registry.text().contains("x{a=\"q\\\"\u{301}b\\\\\u{301}\\nc\"} 1"))
    }
}
