internal import Delivery
internal import DeliveryStreams
internal import Destinations
internal import DurableLog
internal import Egress
internal import Encryption
internal import FirehoseAPI
internal import Foundation
internal import HTTPServer
internal import Logging
internal import Platform
internal import Records
internal import Transforms

/// `hydrant serve --check`: looks at all that a server would need, and changes nothing.
struct ServerCheck {
    let settings: Serve
    let findings = Findings()
    private let time = SystemTime()
    private let client = HTTPClient()
    private let quiet = Logger(label: "check") { _ in SwiftLogNoOpLogHandler() }
    private var identity: ServiceIdentity { settings.identity.service }

    init(_ settings: Serve) { self.settings = settings }

    /// Prints what it finds; gives whether a server could run.
    func run() async throws -> Bool {
        defer { client.shutDown() }
        let folder = Place.absolute(settings.dataDir)
        let isServed = try LocalCheck(findings).dataFolder(folder)
        try LocalCheck(findings).port(
            settings.listening.host,
            settings.listening.port,
            isServed: isServed
        )
        try checkAccess()
        let masterKeys = try checkMasterKey()
        let endpoints = try checkEndpointSettings()
        let copies = try checkWarehouses()
        let buckets = try checkStore(folder)
        let transforms = TransformHost(
            folder: Place.absolute(settings.streams.transforms),
            identity: identity,
            time: time,
            logger: quiet
        )
        let destinations = RecordDestinations(
            client: client,
            settings: endpoints ?? EndpointSettings(),
            credentials: BucketOptions.credentials,
            identity: identity,
            threads: WorkerThreads(count: 1),
            time: time
        )
        let logs = LogFolders(masterKeys: masterKeys)
        let inspection = StreamInspection(
            dataFolder: folder,
            logs: logs,
            identity: identity,
            admission: StreamAdmission(
                policy: settings.streams.policy,
                logs: logs,
                destinations: destinations,
                transforms: transforms,
                time: time
            )
        )
        let streams = try checkStreams(inspection)
        let reach = ReachCheck(
            findings: findings,
            buckets: buckets,
            destinations: destinations,
            copies: copies
        )
        try await reach.check(streams)
        await transforms.shutDown()
        return try findings.conclude()
    }

    // MARK: Files

    private func checkAccess() throws {
        let access = settings.access
        if let path = access.credentials {
            _ = try findings.attempt("credentials") {
                try access.makeAccessControl(identity, isStrict: settings.streams.strictAws, time)
            } good: { control in
                "\(path) has \(control?.keyCount ?? 0) keys"
            }
        } else {
            let isOpen = !Loopback.contains(settings.listening.host)
            try findings.say(
                isOpen ? .warn : .ok,
                "credentials",
                isOpen
                    ? "none: everybody on the network may do everything"
                    : "none: everybody on this machine may do everything"
            )
        }
        guard let path = access.tlsCertificate else {
            let isOpen = !Loopback.contains(settings.listening.host)
            return try findings.say(isOpen ? .warn : .ok, "TLS", "off")
        }
        let security = try findings.attempt("TLS") {
            try access.makeTransportSecurity()
        } good: { _ in
            "\(path) and its key fit"
        }
        guard let expiry = security??.expiry else { return }
        let days = (expiry - time.now()) / .seconds(86_400)
        if days < 0 {
            try findings.say(.fail, "TLS", "\(path) has lapsed")
        } else if days < 14 {
            try findings.say(.warn, "TLS", "\(path) lapses in \(Int(days)) days")
        }
    }

    private func checkMasterKey() throws -> MasterKeys? {
        do {
            let keys = try settings.encryption.load()
            if keys != nil {
                try findings.say(.ok, "master key", "it can be read")
            } else if settings.encryptAtRest {
                try findings.say(.fail, "master key", "--encrypt-at-rest needs one")
            }
            return keys
        } catch {
            try findings.say(.fail, "master key", "\(error)")
            return nil
        }
    }

    private func checkEndpointSettings() throws -> EndpointSettings? {
        guard let path = settings.records.endpointSettings else { return nil }
        return try findings.attempt("endpoint settings") {
            try EndpointSettings(path: Place.absolute(path))
        } good: { _ in
            "\(path) can be read"
        }
    }

    private func checkWarehouses() throws -> CopyService? {
        do {
            return try CopyService(settings.warehouse.settings(), client: client, time: time)
        } catch {
            try findings.say(.fail, "warehouses", "\(error)")
            return nil
        }
    }

    /// S3, or nil for folders and where it cannot be used.
    private func checkStore(_ folder: String) throws -> ReachCheck.Buckets {
        if let local = settings.buckets.localFolder(dataDir: folder) {
            let isUsable = try LocalCheck(findings).folder(local, "buckets")
            if isUsable { try findings.say(.ok, "buckets", "folders in \(local)") }
            return .folders
        }
        do {
            let store = try settings.buckets.store(dataDir: folder, client, time, nil)
            guard let s3 = store as? S3ObjectStore else { return .folders }
            try findings.say(.ok, "buckets", "in S3 at \(settings.buckets.endpoint ?? "AWS's own")")
            return .s3(s3)
        } catch {
            try findings.say(.fail, "buckets", "\(error)")
            return .none
        }
    }

    // MARK: Streams

    private func checkStreams(
        _ inspection: StreamInspection
    ) throws -> [DeliveryStream] {
        for (folder, reason) in inspection.unreadable {
            try findings.say(.fail, "stored stream", "\(folder): \(reason)")
        }
        var streams = inspection.streams
        for (name, stream) in streams.sorted(by: { $0.key < $1.key }) {
            try check(stream, "stream \(name)", "stored", inspection)
            if let failure = inspection.encryptionFailure(of: name) {
                try findings.say(
                    .fail,
                    "stream \(name)",
                    "its records cannot be opened: \(failure)"
                )
            }
        }
        if let path = settings.streams.streams {
            let declared = DeclaredStreams(
                registry: inspection,
                time: time,
                isStrict: settings.streams.strictAws,
                logger: quiet
            )
            for result in declared.examine(Place.absolute(path)) {
                do {
                    let stream = try result.get()
                    streams[stream.name] = stream
                    try check(stream, "stream \(stream.name)", "declared", inspection)
                } catch let failure as DeclaredStreams.Failure {
                    try findings.say(.fail, "declared streams", failure.description)
                }
            }
        }
        if streams.isEmpty, settings.streams.streams == nil {
            try findings.say(.ok, "streams", "none yet")
        }
        return streams.values.sorted { $0.name < $1.name }
    }

    private func check(
        _ stream: DeliveryStream,
        _ subject: String,
        _ origin: String,
        _ inspection: StreamInspection
    ) throws {
        do throws(FirehoseError) {
            try inspection.check(stream)
        } catch {
            return try findings.say(.fail, subject, error.message)
        }
        try findings.say(.ok, subject, "\(origin), to \(stream.destination.kind.rawValue)")
    }
}
