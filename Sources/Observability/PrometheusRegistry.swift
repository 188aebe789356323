package import CoreMetrics
internal import Synchronization

/// Collects what is counted and measured, and tells it as Prometheus reads it.
///
/// The text is the exposition format 0.0.4 (Prometheus documentation, "Exposition formats"). Labels that
/// `swift-metrics` calls dimensions; a name is one kind of metric only, the one it was first made as.
package final class PrometheusRegistry: MetricsFactory {
    /// What the answer to a scrape is called.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private struct Family {
        var kind: Kind
        var series: [[Label]: any Series] = [:]
    }

    private enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    private struct Label: Hashable, Comparable {
        var name: String
        var value: String

        static func < (left: Label, right: Label) -> Bool {
            (left.name, left.value) < (right.name, right.value)
        }
    }

    private let families = Mutex<[String: Family]>([:])
    private let help: [String: String]

    /// A registry; `help` says what each name means.
    package init(help: [String: String] = [:]) { self.help = help }

    // MARK: Making

    private func make<New: Series>(
        _ name: String,
        _ dimensions: [(String, String)],
        _ kind: Kind,
        _ new: @autoclosure () -> New
    ) -> New {
        let labels = dimensions.map { Label(name: $0.0, value: $0.1) }.sorted()
        return families.withLock { families in
            var family = families[name] ?? Family(kind: kind)
            precondition(family.kind == kind, "\(name) is a \(family.kind), not a \(kind)")
            if let old = family.series[labels] as? New {
                old.owners.add(1, ordering: .relaxed)
                return old
            }
            let made = new()
            family.series[labels] = made
            families[name] = family
            return made
        }
    }

    private func destroy(_ handler: AnyObject) {
        guard let series = handler as? any Series else { return }
        families.withLock { families in
            guard series.owners.subtract(1, ordering: .relaxed).newValue == 0 else { return }
            for (name, family) in families {
                guard let labels = family.series.first(where: { $0.value === series })?.key else {
                    continue
                }
                families[name]?.series[labels] = nil
                return
            }
        }
    }

    /// Counts whole things.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        make(label, dimensions, .counter, Count())
    }

    /// Sums what is not whole.
    package func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        make(label, dimensions, .counter, Sum())
    }

    /// Tells what something is now.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        make(label, dimensions, .gauge, Level())
    }

    /// Tells the last value, or a histogram of all where they are aggregated.
    package func makeRecorder(
        label: String,
        dimensions: [(String, String)],
        aggregate: Bool
    ) -> any RecorderHandler {
        aggregate
            ? make(label, dimensions, .histogram, Histogram(Histogram.sizes))
            : make(label, dimensions, .gauge, Level())
    }

    /// Measures durations: a histogram in seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        make(label, dimensions, .histogram, Histogram(Histogram.seconds))
    }

    /// Tells a counter no more, once nobody holds it.
    package func destroyCounter(_ handler: any CounterHandler) { destroy(handler) }
    /// Tells a sum no more, once nobody holds it.
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        destroy(handler)
    }
    /// Tells a level no more, once nobody holds it.
    package func destroyMeter(_ handler: any MeterHandler) { destroy(handler) }
    /// Tells a recorder no more, once nobody holds it.
    package func destroyRecorder(_ handler: any RecorderHandler) { destroy(handler) }
    /// Tells a timer no more, once nobody holds it.
    package func destroyTimer(_ handler: any TimerHandler) { destroy(handler) }

    // MARK: Telling

    /// All that was collected, as text.
    package func text() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty
        {
            if let help = help[name] { text += "# HELP \(name) \(Self.escaped(help))\n" }
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: {
                $0.key.lexicographicallyPrecedes($1.key)
            }) {
                let list = labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
                for sample in series.samples() {
                    let all = list + sample.labels
                    let braces = all.isEmpty ? "" : "{\(all.joined(separator: ","))}"
                    text += "\(name)\(sample.suffix)\(braces) \(sample.value)\n"
                }
            }
        }
        return text
    }

    /// By code points, as whoever reads bytes does.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
