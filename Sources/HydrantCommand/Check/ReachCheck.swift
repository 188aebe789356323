internal import Delivery
internal import DeliveryStreams
internal import Destinations
internal import Records

/// Whether what streams need elsewhere is there: each place once, several at a time.
struct ReachCheck {
    /// Where objects go.
    enum Buckets: Sendable {
        case folders
        case s3(S3ObjectStore)
        /// Nothing that could be asked.
        case none
    }

    private struct Question: Sendable {
        var subject: String
        var ask: @Sendable () async throws -> Reach
    }

    /// Places that are asked at one time.
    private static let maximumAtOnce = 16

    let findings: Findings
    let buckets: Buckets
    let destinations: RecordDestinations
    let copies: CopyService?

    /// Says of each place whether it is there.
    func check(_ streams: [DeliveryStream]) async throws {
        var questions: [Question] = []
        var uses: [String: [String]] = [:]
        for stream in streams {
            let needs: StreamInspection.Needs
            do throws(FirehoseError) {
                needs = try StreamInspection.needs(of: stream)
            } catch {
                continue  // the check of the stream itself says what is wrong
            }
            for bucket in needs.buckets {
                uses[bucket.name, default: []].append("\(bucket.use) of \(stream.name)")
            }
            if let configuration = needs.records {
                questions.append(
                    Question(
                        subject: "destination of \(stream.name) (\(needs.url ?? "no URL"))"
                    ) { [destinations] in
                        try await destinations.reach(configuration, stream: stream.name)
                    }
                )
            }
            if let warehouse = needs.warehouse, let copies {
                questions.append(
                    Question(
                        subject: "warehouse of \(stream.name) "
                            + "(\(warehouse.host):\(warehouse.port)/\(warehouse.database))"
                    ) {
                        try await copies.reach(warehouse)
                    }
                )
            }
        }
        if case .s3(let store) = buckets {
            for (bucket, uses) in uses.sorted(by: { $0.key < $1.key }) {
                let more = uses.count > 1 ? " and \(uses.count - 1) more" : ""
                questions.append(
                    Question(subject: "bucket \(bucket) (\(uses[0])\(more))") {
                        try await store.reach(bucket: bucket)
                    }
                )
            }
        }
        try await ask(questions)
    }

    private func ask(_ questions: [Question]) async throws {
        var answers: [Int: Reach] = [:]
        for start in stride(from: 0, to: questions.count, by: Self.maximumAtOnce) {
            let part = start..<min(start + Self.maximumAtOnce, questions.count)
            let found = try await withThrowingTaskGroup(of: (Int, Reach).self) { group in
                for index in part {
                    let question = questions[index]
                    group.addTask { (index, try await Self.answer(question)) }
                }
                return try await group.reduce(into: [Int: Reach]()) { $0[$1.0] = $1.1 }
            }
            answers.merge(found) { _, new in new }
        }
        for (index, question) in questions.enumerated() {
            if let reach = answers[index] { try findings.say(reach, question.subject) }
        }
    }

    private static func answer(_ question: Question) async throws -> Reach {
        do {
            return try await question.ask()
        } catch let error as FirehoseError {
            return .failed(error.message)
        }
    }
}
